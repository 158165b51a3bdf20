"""Tells health of what a process does not hear or share at the moment; trading goes on without it."""

import asyncio
import logging
from typing import Any, Final, Protocol

from outcry.ports import OutOfService

LOOK_SECONDS: Final = 1.0
MAX_WORDS: Final = 200  # characters of a cause that somebody else worded

FEED: Final = "feed"
SHARED: Final = "shared"
_MEANING: Final = {
    FEED: "Streams stand still and answers come from the ledger",
    SHARED: "Limits are counted by this process alone, and what needs a memory common to all is refused",
}

log = logging.getLogger(__name__)


class Heard(Protocol):
    """The feed, as this process hears it."""

    @property
    def trouble(self) -> str:
        """Why nothing can be heard; "" while everything is."""


class Pinged(Protocol):
    """The state that all processes share."""

    async def ping(self) -> None:
        """Raises OutOfService."""


class Contact:
    """Reports the components "feed" and "shared" as ok or, with the cause, degraded."""

    def __init__(self, feed: Heard, shared: Pinged, status: dict[str, Any]) -> None:
        self._feed = feed
        self._shared = shared
        self._status = status

    async def run(self) -> None:
        """Looks until canceled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look."""
        self._report(FEED, self._feed.trouble)
        try:
            await self._shared.ping()
        except OutOfService as trouble:
            self._report(SHARED, str(trouble))
        else:
            self._report(SHARED, "")

    def _report(self, name: str, cause: str) -> None:
        before = self._status.get(name, {}).get("status", "ok")
        detail = f"{_MEANING[name]}: {cause[:MAX_WORDS]}" if cause else ""
        self._status[name] = {"status": "degraded" if cause else "ok", "detail": detail}
        if cause and before == "ok":
            log.error("%s", detail)
        elif before != "ok" and not cause:
            log.warning("The component %s is there again.", name)
