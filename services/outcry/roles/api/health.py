"""What a probe or an operator asks: is it alive, may it be asked, what is wrong.

Components report themselves in ``venue.status`` as ``{"status": ..., "detail": ...}``: ok, degraded, starting or down.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from outcry.ports import Damaged, OutcomeUnknown, OutOfService
from outcry.roles.api.venue import Venue

OK: Final = "ok"
DEGRADED: Final = "degraded"  # works, but not for everything or not as well as it should
STARTING: Final = "starting"
DOWN: Final = "down"

PROBE_SECONDS: Final = 1.0
_WORST_FIRST: Final = (DOWN, STARTING, DEGRADED, OK)

Report = dict[str, Any]


class Health:
    """Asks the components of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def started(self) -> bool:
        """Whether start-up is over: symbols are known and nobody is still starting."""
        return bool(self._venue.instruments) and not any(
            each.get("status") == STARTING for each in self._venue.status.values()
        )

    async def database(self) -> Report:
        """The ledger, with the milliseconds it took to answer."""
        return await _asked(self._ping())

    async def components(self) -> dict[str, Report]:
        """Every component with its state and, where it is not ok, the cause."""
        found: dict[str, Report] = {"ledger": await self.database()}
        if found["ledger"]["status"] == OK:
            found["partitions"] = await _asked(self._partitions())
        if not self._venue.instruments:
            found["symbols"] = {"status": STARTING, "detail": "No symbol is listed yet."}
        for name in sorted(self._venue.status):
            found[name] = dict(self._venue.status[name])
        return found

    async def _ping(self) -> Report:
        began = time.perf_counter()
        await self._venue.ledger.ping()
        return {"status": OK, "detail": "", "latency_ms": round((time.perf_counter() - began) * 1000, 3)}

    async def _partitions(self) -> Report:
        rows = await self._venue.ledger.partitions()
        halted = [
            f"partition {row.part}: {row.halt_reason or 'no reason given'}" for row in rows if row.status == "HALT"
        ]
        parts = [
            {"partition": r.part, "status": r.status, "next_offset": r.next_offset, "epoch": r.epoch} for r in rows
        ]
        return {"status": DEGRADED if halted else OK, "detail": "; ".join(halted), "partitions": parts}


async def _asked(question: Awaitable[Report]) -> Report:
    """The ledger's answer, or why there is none."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await question
    except TimeoutError:
        return {"status": DOWN, "detail": f"The ledger did not answer within {PROBE_SECONDS:g} s."}
    except (OutOfService, OutcomeUnknown, Damaged) as trouble:
        return {"status": DOWN, "detail": str(trouble) or type(trouble).__name__}


def worst(components: dict[str, Report]) -> str:
    """The state of the whole: that of its worst part."""
    states = {each.get("status", DOWN) for each in components.values()}
    return next((state for state in _WORST_FIRST if state in states), DOWN)


def is_ready(components: dict[str, Report]) -> bool:
    """Whether the next request would find all that it needs; a degraded venue still answers."""
    return worst(components) in (OK, DEGRADED)


def not_ready(venue: Venue) -> str:
    """Which components of this process are down or still starting, without asking any; "" for none."""
    bad = [f"{name}: {each['detail']}" for name, each in venue.status.items() if each["status"] in (DOWN, STARTING)]
    return "; ".join(bad)


def verbose(components: dict[str, Report]) -> str:
    """One line per component, as Kubernetes components print it."""
    lines = []
    for name, report in components.items():
        good = report.get("status") in (OK, DEGRADED)
        cause = f": {report['detail']}" if report.get("detail") else ""
        lines.append(f"[{'+' if good else '-'}]{name} {report.get('status', DOWN)}{cause}")
    lines.append("ready" if is_ready(components) else "not ready")
    return "\n".join(lines) + "\n"
