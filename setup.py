"""Builds the distribution; with OUTCRY_COMPILE=1 the matching core is compiled to C by mypyc."""

import os
from pathlib import Path

from setuptools import setup

# Modules of mutable state and loops; the messages (msgspec structs and named tuples) stay interpreted.
INTERPRETED = {"__init__", "boxed", "commands", "events", "instrument"}


def compiled_core() -> list[object]:
    """The extension modules of ``outcry.market``, or none for the interpreted build."""
    if os.environ.get("OUTCRY_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    market = Path("services/outcry/market")
    sources = sorted(str(path) for path in market.glob("*.py") if path.stem not in INTERPRETED)
    extensions = mypycify(["--strict", *sources], opt_level="3")
    for extension in extensions:
        extension.extra_compile_args.append("-fvisibility=hidden")  # nobody outside calls in: functions may be inlined
    return list(extensions)


setup(ext_modules=compiled_core())
