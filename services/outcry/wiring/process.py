"""What every process of Outcry does before its role begins: an event loop, logging, a patient garbage collector."""

import asyncio
import gc
import resource
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import uvloop

from outcry.settings import Settings, SettingsError
from outcry.telemetry import logs
from outcry.telemetry.traces import Tracer

COLLECT_AFTER: Final = (50_000, 20, 100)  # allocations, and generations, between two collections

MAX_FILES: Final = 65_536  # open files that a process asks for

Progress = Callable[[str], None]
T = TypeVar("T")


def in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in a new event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def begin_logging(settings: Settings, *, pod: str, role: str) -> None:
    """Logs to standard error from now on."""
    logs.begin(settings.log_level, settings.log_format, pod=pod, role=role)


def tracer_of(settings: Settings, *, pod: str, role: str) -> Tracer | None:
    """Who writes traces; None where none are wanted. Raises SettingsError where that needs what is not installed."""
    if not settings.otlp_endpoint:
        return None
    try:
        from outcry.telemetry.otel import otlp_tracer
    except ModuleNotFoundError as missing:
        raise SettingsError(f"OUTCRY_OTLP_ENDPOINT needs the extra outcry[otel]: {missing}.") from None
    who = {"service.instance.id": pod, "service.namespace": "outcry", "outcry.role": role}
    return otlp_tracer(settings.otlp_endpoint, settings.trace_sample, **who)


def allow_many_sockets() -> None:
    """Lets this process have as many open files as it is allowed to ask for: each client's socket is one."""
    wanted, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(wanted, MAX_FILES if allowed == resource.RLIM_INFINITY else min(allowed, MAX_FILES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, allowed))


def spare_the_collector() -> None:
    """Rows and messages hold no cycles, so looking for some seldom is enough; what start-up made stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
