"""Beats of the wall clock, by which windows of the market streams end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from outcry.ports import Clock

MAX_AHEAD: Final = 10  # beats before a clock that was set back


async def beats(clock: Clock, every_ms: int) -> AsyncIterator[int]:
    """The times in ms that are whole multiples of ``every_ms``, each when it comes; those of a stall are left out.

    A clock that was set back stands still: beats go on without it, and not far from it.
    """
    beat_ms = clock.now_ms() // every_ms * every_ms
    while True:
        now_ms = clock.now_ms() // every_ms * every_ms
        beat_ms = max(beat_ms + every_ms, now_ms) if beat_ms < now_ms + MAX_AHEAD * every_ms else now_ms
        await asyncio.sleep(min(max(beat_ms - clock.now_ms(), 0), every_ms) / 1000)
        yield beat_ms
