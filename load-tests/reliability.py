"""The reliability card: what a campaign of faults did and found, on what machine and by which command."""

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "services"))
from tests.support.histories import Findings, History  # noqa: E402


@dataclass
class Card:
    """What a campaign did and found."""

    seed: int
    lease_seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[tuple[str, float]] = field(default_factory=list)  # faults of a round, seconds
    findings: Findings = field(default_factory=Findings)
    gaps: list[str] = field(default_factory=list)  # that a follower of the streams was not told of
    seen: dict[str, Counter[str]] = field(default_factory=dict)  # by followers, what they saw
    verified: int = 0
    broken: list[str] = field(default_factory=list)
    restarts: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return self.findings.is_clean and not self.broken and not self.gaps

    def figures(self, history: History, command: str) -> dict[str, Any]:
        """The card as it is printed and kept."""
        rto = sorted(seconds for _, seconds in self.recoveries)
        orders = history.counts()
        return {
            "faults": self.faults.total(), "kinds": dict(sorted(self.faults.items())), "orders": orders.total(),
            **{known: orders[known] for known in ("accepted", "refused", "unknown")},
            "cancels": history.cancels, "lost": len(self.findings.lost), "doubled": len(self.findings.doubled),
            "gaps": self.gaps, "streams": {name: dict(sorted(seen.items())) for name, seen in self.seen.items()},
            "verified": self.verified, "broken": self.broken, "rto_seconds": {
                name: _at(rto, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
            },
            "restarts": self.restarts, "seconds": round(self.seconds), "seed": self.seed,
            "lease_seconds": self.lease_seconds,
            "refusals": {str(code): count for code, count in history.refusals.most_common()},
            "answers": dict(history.answers.most_common()), "commit": _commit(), "command": command,
            "machine": f"{os.cpu_count()} x {_cpu()}, Python {platform.python_version()}",
        }  # fmt: skip


def _at(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else 0.0


def _commit() -> str:
    told = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
