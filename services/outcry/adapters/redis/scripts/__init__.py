"""The Lua scripts that Redis runs, each one atomic; what it does stands at its head."""

from pathlib import Path
from typing import Final

from outcry.adapters.redis.client import Script


def _read(name: str) -> Script:
    return Script((Path(__file__).parent / f"{name}.lua").read_text())


APPEND: Final = _read("append")
OPEN: Final = _read("open")
CUT: Final = _read("cut")
BOOK: Final = _read("book")
SINCE: Final = _read("since")
FOLLOW: Final = _read("follow")
SPEND: Final = _read("spend")
FIRST_USE: Final = _read("first_use")
