"""The background tasks of one process: each is watched, reported, and started again after trouble."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from outcry.telemetry import Telemetry

RESTART_SECONDS: Final = 1.0
STOP_SECONDS: Final = 10.0

log = logging.getLogger(__name__)

Run = Callable[[], Awaitable[None]]


class Crew:
    """Runs roles until ``stop``. ``status`` is what health reports: component -> status and cause."""

    def __init__(self, status: dict[str, Any], telemetry: Telemetry) -> None:
        self._status = status
        self._telemetry = telemetry
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, run: Run) -> None:
        """Starts a role; one that returns is done."""
        self._tasks[name] = asyncio.create_task(self.supervise(name, run), name=name)

    async def supervise(self, name: str, run: Run) -> None:
        """Runs a role again and again until it returns or is canceled."""
        while True:
            self._status[name] = {"status": "ok", "detail": ""}
            try:
                await run()
                return
            except Exception as trouble:
                log.exception("Role %s failed; it starts again in %g s.", name, RESTART_SECONDS)
                self._telemetry.errors.labels(name).inc()
                self._status[name] = {"status": "down", "detail": str(trouble) or type(trouble).__name__}
            await asyncio.sleep(RESTART_SECONDS)

    async def stop(self, name: str) -> None:
        """Cancels one role and waits until it is gone; a role that was never there is gone already."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task], timeout=STOP_SECONDS)

    async def stop_all(self) -> None:
        """Cancels what still runs, the youngest role first."""
        for name in reversed(list(self._tasks)):
            await self.stop(name)
