"""How much of the machine this process uses: memory, pauses of the garbage collector, lateness of the event loop."""

import asyncio
import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from outcry.telemetry.instruments import Family, Steps

PULSE_SECONDS: Final = 0.1  # between two looks how late the event loop is
STATM: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = resource.getpagesize()


def memory_bytes() -> int:
    """Resident memory now; where the system does not tell, the most there ever was."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def feel_pulse(lag: Steps) -> None:
    """Observes, until canceled, by how much the event loop is late."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + PULSE_SECONDS
        await asyncio.sleep(PULSE_SECONDS)
        lag.observe(max(0.0, clock() - due))


def watch_collector(pauses: Family[Steps]) -> Callable[[], None]:
    """Times every run of the garbage collector from now on; returns what ends that."""
    children = [pauses.labels(str(generation)) for generation in range(3)]
    began = 0.0

    def timed(phase: str, about: dict[str, Any]) -> None:
        nonlocal began
        now = time.perf_counter()
        if phase == "start":
            began = now
        else:
            children[about["generation"]].observe(now - began)

    gc.callbacks.append(timed)
    return lambda: gc.callbacks.remove(timed)
