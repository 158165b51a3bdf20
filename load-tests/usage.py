"""CPU seconds of a cluster's processes on this machine, and of everybody else, so that figures hold on a busy one."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """CPU seconds so far by name, of the whole machine, and when."""

    spent: dict[str, float]
    machine: float
    at: float

    def since(self, before: "Usage") -> "Usage":
        """What was spent between two looks."""
        spent = {name: now - before.spent.get(name, 0.0) for name, now in self.spent.items()}
        return Usage(spent, self.machine - before.machine, self.at - before.at)

    def per_order(self, orders: int) -> dict[str, float]:
        """Microseconds of CPU an order."""
        return {name: round(spent * 1e6 / max(orders, 1), 1) for name, spent in self.spent.items()}

    @property
    def cores_of_others(self) -> float:
        """How many cores processes that are not looked at kept busy."""
        return round((self.machine - sum(self.spent.values())) / self.at, 2)


def look(pids: Mapping[str, int]) -> Usage:
    """Reads the accounts of processes, those of their children included; 0 for one that is gone."""
    children: dict[int, list[list[str]]] = {}
    rows = {int(entry.name): fields for entry in Path("/proc").glob("[0-9]*") if (fields := _fields(entry))}
    for fields in rows.values():
        children.setdefault(int(fields[1]), []).append(fields)
    spent = {}
    for name, pid in pids.items():
        own = rows.get(pid)
        living = [own, *children.get(pid, [])] if own else []
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in living)
        ended = int(own[13]) + int(own[14]) if own else 0
        spent[name] = (ticks + ended) / TICK
    return Usage(spent, _machine(), time.monotonic())


def _fields(entry: Path) -> list[str]:
    """The fields of /proc/PID/stat after the command's name."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _machine() -> float:
    """Busy CPU seconds since the machine started."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICK
