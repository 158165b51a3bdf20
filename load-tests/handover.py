"""How long orders wait while partitions are handed from one engine process to another and back, under a steady load.

    handover.py [ROUNDS]

Two runs of the same load: one in which nothing moves, one in which every partition is handed over in turn, as an
operator asks for it on the admin port. Latency counts from the moment at which an order was due, so that the slowest
answer is the longest pause that any client has seen.
"""

import asyncio
import json
import secrets
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import bench_cluster
from cluster_stage import ROOT, Stage, stage

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 4  # hand-overs of each partition, at most 20
RATE = 100  # single REST orders a second over all symbols
PARTITIONS = 8
SETTLE_SECONDS = 15.0
MOVE_SECONDS = 15.0
PAUSE_SECONDS = 0.5  # between two hand-overs


class Engines:
    """The admin ports of the engines."""

    def __init__(self, on: Stage, token: str) -> None:
        self._token = token
        self._urls = {
            name: f"http://127.0.0.1:{process.environ['OUTCRY_ADMIN_PORT']}/v1"
            for name, process in on.cluster.processes.items() if process.verb == "engine"
        }  # fmt: skip

    def owners(self) -> dict[int, str]:
        """The engine of each partition that has one and is served."""
        return {
            row["partition"]: name
            for name, url in self._urls.items()
            for row in self._ask(f"{url}/status")["owned"]
            if row["state"] == "running"
        }

    def hand_over(self, part: int) -> float:
        """Gives a partition to the other engine; seconds until that one has it."""
        giver = self.owners()[part]
        (taker,) = set(self._urls) - {giver}
        start = time.monotonic()
        self._ask(f"{self._urls[giver]}/partitions/{part}/release", {"to": taker})
        while self.owners().get(part) != taker:
            if time.monotonic() - start > MOVE_SECONDS:
                raise SystemExit(f"partition {part} stays with {giver}")
            time.sleep(0.01)
        return time.monotonic() - start

    def _ask(self, url: str, body: dict[str, str] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=5) as answer:
            return json.loads(answer.read() or b"null")


def measure(on: Stage, engines: Engines) -> dict[str, Any]:
    """Figures of both runs, and the seconds that each hand-over took from the request on."""
    traders = asyncio.run(on.traders())
    on.start("engine-0", "engine-1", "api-0")
    until = time.monotonic() + SETTLE_SECONDS
    while len(engines.owners()) < PARTITIONS and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)
    bench_cluster.SECONDS = min(50.0, PARTITIONS * ROUNDS * (PAUSE_SECONDS + 0.6))
    steady = bench_cluster.drive(on, traders, "rest", RATE)
    took: list[float] = []
    mover = threading.Thread(target=_move_all, args=(engines, took))
    mover.start()
    moving = bench_cluster.drive(on, traders, "rest", RATE)
    mover.join()
    return {"steady": steady, "moving": moving, "took": took}


def _move_all(engines: Engines, took: list[float]) -> None:
    time.sleep(bench_cluster.WARM_SECONDS + 2)
    until = time.monotonic() + bench_cluster.SECONDS - MOVE_SECONDS / 5
    for number in range(ROUNDS * PARTITIONS):
        if time.monotonic() < until:
            took.append(engines.hand_over(number % PARTITIONS))
            time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Prints both runs and keeps them as results/handover.json."""
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.write_text(secrets.token_hex(16))
        with stage(engines=2, partitions=PARTITIONS, OUTCRY_ADMIN_TOKEN_FILE=str(token)) as on:
            found = measure(on, Engines(on, token.read_text()))
    for name in ("steady", "moving"):
        found[name]["kept"] = found[name]["errors"] == 0
        print(f"{name}:")
        bench_cluster.report(found[name])
    took = sorted(found["took"])
    print(f"{len(took)} hand-overs, from the request to the new owner: median {statistics.median(took):.2f} s,"
          f" longest {took[-1]:.2f} s")  # fmt: skip
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results/handover.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
