"""What every process of Outcry does before its role begins: an event loop, logging, a patient garbage collector."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import uvloop

from outcry.settings import Settings

COLLECT_AFTER: Final = (50_000, 20, 100)  # allocations, and generations, between two collections

Progress = Callable[[str], None]
T = TypeVar("T")


def in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in a new event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def begin_logging(settings: Settings) -> None:
    """Logs to standard error from now on."""
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for loud in ("uvicorn.error", "kafka", "alembic"):
        logging.getLogger(loud).setLevel(logging.WARNING)


def spare_the_collector() -> None:
    """Rows and messages hold no cycles, so looking for some seldom is enough; what start-up made stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
