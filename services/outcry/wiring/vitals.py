"""What every process has to tell about itself, whatever its role: metrics, traces, the pulse of its event loop."""

import asyncio
from functools import partial

from outcry.roles.crew import Crew
from outcry.settings import Settings
from outcry.telemetry import Telemetry, names
from outcry.telemetry.process import feel_pulse, watch_collector
from outcry.telemetry.traces import Tracer
from outcry.wiring.process import tracer_of


class Vitals:
    """``begin`` with the process's crew, ``end`` after all else. Another ``tracer`` than the settings' is for tests."""

    def __init__(self, settings: Settings, *, pod: str, role: str, tracer: Tracer | None = None) -> None:
        self.telemetry = Telemetry(settings.metrics_window_seconds, settings.metrics_retention_seconds)
        self.tracer = tracer or tracer_of(settings, pod=pod, role=role)
        if self.tracer is not None:
            self.telemetry.source(names.TRACES, self._begun)
        self._unwatch = watch_collector(self.telemetry.gc_pauses)

    def _begun(self) -> float:
        return self.tracer.begun if self.tracer is not None else 0

    def begin(self, crew: Crew) -> None:
        """Feels the pulse from now on."""
        crew.add("pulse", partial(feel_pulse, self.telemetry.loop_lag))

    async def end(self) -> None:
        """Sends the traces that wait."""
        self._unwatch()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
