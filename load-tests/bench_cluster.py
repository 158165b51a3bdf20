"""`make bench-cluster`: a cluster on real Kafka, PostgreSQL and Redis, its limit beside it, in one report.

The load generator runs on the same cores. Latency counts from the moment at which an order was due.
"""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import engine_alone
import kafka_alone
from cluster_stage import ROOT, Stage, Trading, stage

SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
WARM_SECONDS = 4.0
ORDERS = int(os.environ.get("BENCH_ORDERS", "60000"))  # that the engine alone finds in its journal
STEPS = (1.0, 0.75, 0.5, 0.35, 0.2)  # of the target, until one is kept


class Target:
    """What B6 asks of one way of entry."""

    def __init__(self, way: str, name: str, rate: int, p99_ms: float) -> None:
        self.way, self.name, self.rate, self.p99_ms = way, name, rate, p99_ms

    def is_kept(self, figure: dict[str, Any], rate: float) -> bool:
        """Whether a rate was carried within the latency and with fewer than 0.1 % errors."""
        carried = figure["orders_per_second"] >= 0.98 * rate
        return bool(carried and figure["p99"] < self.p99_ms and figure["error_rate"] < 0.001)


TARGETS = (
    Target("rest", "single REST", 1_000, 20),
    Target("socket", "order.place, pipelined", 5_000, 50),
    Target("batch", "orders:batch of 50", 12_000, 150),
)


def drive(on: Stage, traders: list[Trading], way: str, rate: float) -> dict[str, Any]:
    """One run of the load generator in a process of its own, with the CPU that each process spent on it."""
    given = {
        "way": way, "port": on.cluster.port, "rate": rate, "seconds": SECONDS, "warm": WARM_SECONDS,
        "keys": [[each.key, each.secret] for each in traders],
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, str(ROOT / "load-tests/open_loop.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdin.write(json.dumps(given))
        load.stdin.close()
        assert load.stdout.readline() == "ready\n", "the load generator failed"
        before = on.usage(load=load.pid)
        line = load.stdout.readline()
        spent = on.usage(load=load.pid).since(before)
    figure: dict[str, Any] = json.loads(line)
    orders = round(figure["orders"] * (SECONDS + WARM_SECONDS) / SECONDS)
    return {"rate": rate, **figure, "cpu_us": spent.per_order(orders), "others": spent.cores_of_others}


def end_to_end(on: Stage, traders: list[Trading]) -> dict[str, list[dict[str, Any]]]:
    """Every way of entry at its target, and where that is missed at less, down to what is kept."""
    found: dict[str, list[dict[str, Any]]] = {}
    for target in TARGETS:
        print(f"\n{target.name}: {target.rate:,}/s at p99 < {target.p99_ms:g} ms, errors < 0.1 %", flush=True)
        for step in STEPS:
            figure = drive(on, traders, target.way, target.rate * step)
            figure["kept"] = target.is_kept(figure, target.rate * step)
            found.setdefault(target.way, []).append(figure)
            report(figure)
            if figure["kept"]:
                break
    return found


def report(figure: dict[str, Any]) -> None:
    """Two lines: what was carried and how late, and the CPU of an order by process."""
    print(
        "  {rate:8,.0f}/s asked {orders_per_second:8,}/s done   p50 {p50:7.1f}  p95 {p95:7.1f}  p99 {p99:7.1f}"
        "  p99.9 {p999:7.1f}  max {max:7.1f} ms   {errors} errors   {verdict}".format(
            verdict="kept" if figure["kept"] else "MISSED", **figure
        )
    )
    costs = "  ".join(f"{name} {cost:g}" for name, cost in figure["cpu_us"].items())
    print(f"           CPU us an order: {costs}   (others kept {figure['others']:.2f} cores busy)", flush=True)


def report_engine(found: dict[str, Any]) -> None:
    """What an order costs the engine and PostgreSQL, beside the bare statements."""
    print(f"\nThe engine alone: {found['orders']:,} orders and {found['trades']:,} trades that wait in the journal")
    for name, title in (("bare", "bare statements"), ("port", "the ledger's port"), ("engine", "engine process")):
        way = found[name]
        costs = "  ".join(f"{who} {cost:g}" for who, cost in way["cpu_us"].items())
        print(f"  {title:18}{way['orders_per_second']:9,.0f} orders/s   CPU us an order: {costs}", end="")
        print(f"   (others kept {way['others']:.2f} cores busy)")
    bare, whole = (sum(found[name]["cpu_us"].values()) for name in ("bare", "engine"))
    core = 1e6 / found["engine"]["cpu_us"]["engine-0"]
    print(f"  matching alone {found['matching_us']:.1f} us; one core of engine: {core:,.0f} orders/s (asked 20,000)")
    print(f"  bare CPU / CPU of all components: {bare / whole:.0%} (asked 60 %)", flush=True)


def main() -> None:
    """Prints the report and keeps it as results/bench-cluster.json."""
    figures: dict[str, Any] = {}
    with stage() as on:
        figures["kafka alone"] = kafka_alone.measure(on)
        kafka_alone.report(figures["kafka alone"])
        traders = asyncio.run(on.traders())
        figures["engine alone"] = asyncio.run(engine_alone.measure(on, traders, ORDERS))
        report_engine(figures["engine alone"])
        on.start("api-0")
        figures["end to end"] = end_to_end(on, traders)
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results/bench-cluster.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
