"""Waiting for a cluster to be made ready, where components, set-up and roles start together as on Kubernetes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from outcry.ports import OutOfService
from outcry.settings import ClusterSettings
from outcry.wiring.backbone import Backbone
from outcry.wiring.process import Progress
from outcry.wiring.setup import set_up

RETRY_SECONDS: Final = 1.0

T = TypeVar("T")


async def set_up_with_patience(settings: ClusterSettings, progress: Progress, seconds: float) -> None:
    """``set_up``, which begins again while a component is out of service, for so long. Raises what that raises."""
    await until_served(lambda: set_up(settings, progress), progress, time.monotonic() + seconds)


async def await_set_up(settings: ClusterSettings, progress: Progress) -> None:
    """Returns once ``set_up`` has done its work elsewhere; changes nothing. Raises Damaged."""
    await until_served(lambda: _look(settings), progress, None)
    progress("The cluster is set up")


async def until_served(work: Callable[[], Awaitable[T]], progress: Progress, deadline: float | None) -> T:
    """Tries again every second until ``deadline`` (monotonic seconds; None: for ever), and tells each new reason."""
    told = ""
    while True:
        try:
            return await work()
        except OutOfService as trouble:
            if deadline is not None and time.monotonic() >= deadline:
                raise
            if str(trouble) != told:
                told = str(trouble)
                progress(f"Waiting: {told}")
        await asyncio.sleep(RETRY_SECONDS)


async def _look(settings: ClusterSettings) -> None:
    """Makes contact as a role does. Raises OutOfService where something is not there yet, Damaged."""
    backbone = Backbone(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(backbone.close)
        await backbone.open()
        # The listings are the last that founding writes; engines must not run before it has written the past.
        if settings.demo and not any((await backbone.journal.end_offsets()).values()):
            raise OutOfService("The demo venue is not founded yet.")
