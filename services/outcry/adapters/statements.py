"""Longer SQL statements, read by name from the file beside an adapter."""

import re
from importlib import resources


class Statements:
    """The statements of a file in a package; each stands under its name and its description."""

    def __init__(self, package: str, file: str = "statements.sql") -> None:
        text = (resources.files(package) / file).read_text(encoding="utf-8")
        found = re.findall(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", text, re.MULTILINE | re.DOTALL)
        self._named = dict(found)

    def __call__(self, name: str) -> str:
        """The statement of that name, without its description."""
        lines = self._named[name].splitlines()
        return "\n".join(line for line in lines if not line.startswith("--")).strip()
