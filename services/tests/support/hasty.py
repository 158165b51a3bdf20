"""An event loop in which time passes by itself as soon as all that is to be done has been done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class HastyLoop(asyncio.SelectorEventLoop):
    """Where everybody waits, the next moment that somebody waits for has come. For work without sockets and threads."""

    def __init__(self) -> None:
        self._passed = 0.0
        super().__init__()

    def time(self) -> float:
        return self._passed

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._passed = max(self._passed, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run_hastily(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end: what takes seconds takes none, and as many things happen in them on every machine."""
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        return runner.run(work)
