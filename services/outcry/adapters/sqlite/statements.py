"""The longer SQL statements, read by name from the file beside this module."""

import re
from importlib import resources

_TEXT = (resources.files("outcry.adapters.sqlite") / "statements.sql").read_text(encoding="utf-8")
_NAMED = dict(re.findall(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", _TEXT, re.MULTILINE | re.DOTALL))


def statement(name: str) -> str:
    """The statement of that name, without its description."""
    lines = _NAMED[name].splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()
