"""CPU time of a running exchange by thread, so that a figure holds on a busy machine too. Linux only."""

from pathlib import Path
from typing import NamedTuple


class Cpu(NamedTuple):
    """Microseconds since the process began: on the event loop, on the ledger's writer, on all other threads."""

    loop: float
    writer: float
    others: float

    def per_order(self, before: "Cpu", orders: int) -> dict[str, float]:
        """What one order cost between two looks."""
        spent = zip(self._fields, self, before, strict=True)
        return {name: round((now - then) / max(orders, 1), 1) for name, now, then in spent}


def cpu_of(pid: int) -> Cpu:
    """Reads the scheduler's account; the writer is the thread that has worked most beside the first one."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    spent = {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1e3 for task in tasks}
    loop = spent.pop(pid)
    writer = max(spent.values(), default=0.0)
    return Cpu(loop, writer, sum(spent.values()) - writer)
