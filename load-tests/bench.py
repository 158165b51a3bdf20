"""`make bench`: the core beside other Python matching packages, the whole order path, and memory, in one report."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "services"))

from cpu import cpu_of  # noqa: E402 - the path has to be set first

from tests.support.venue import running_exchange  # noqa: E402 - the path has to be set first

INTERPRETED = ROOT / ".venv/bin/python"
COMPILED = ROOT / ".venv-compiled/bin/python"
PACKAGES = ROOT / ".venv-bench/bin/python"
ROUNDS = 3
SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
MEMORY_ORDERS = int(os.environ.get("BENCH_MEMORY_ORDERS", "1000000"))


def output(*command: str | Path, **environment: str) -> list[Any]:
    """Runs a script of this folder and parses the JSON lines that it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT / "load-tests",
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def core() -> dict[str, float]:
    """Median messages/s of each core over the same flow, all contenders in turn in every round."""
    contenders: list[tuple[str, Path, str]] = [
        ("outcry, compiled", COMPILED, "outcry"),
        ("outcry, interpreted", INTERPRETED, "outcry"),
        ("akhil4n-orderbook", PACKAGES, "akhil4n-orderbook"),
        ("pyorderbook", PACKAGES, "pyorderbook"),
        ("fastlob", PACKAGES, "fastlob"),
    ]
    seen: dict[str, list[float]] = {name: [] for name, _, _ in contenders}
    for seed in range(1, ROUNDS + 1):
        for name, python, script in contenders:
            path = {"PYTHONPATH": str(ROOT / "services")} if python == INTERPRETED else {}
            seen[name].append(output(python, "contender.py", script, str(seed), **path)[0]["messages_per_second"])
    return {name: sorted(values)[len(values) // 2] for name, values in seen.items()}


def report_core(figures: dict[str, float]) -> None:
    """Prints messages/s and the ratio to the fastest package."""
    fastest = max(value for name, value in figures.items() if not name.startswith("outcry"))
    print("\nCore: 30,000 resting orders, then 45 % quotes, 45 % cancels, 10 % takers (median of 3)")
    for name, value in figures.items():
        print(f"  {name:22}{value:12,.0f} messages/s   {value / fastest:5.2f} x the fastest package")


def order_path(python: Path) -> list[Any]:
    """Orders/s and latency by each way of entry on an exchange of its own, committed to disk, client included."""
    figures: list[Any] = []
    for way in ("rest", "socket", "batch"):
        with tempfile.TemporaryDirectory() as folder, running_exchange(Path(folder), python=python) as exchange:
            before = cpu_of(exchange.process.pid)
            (figure,) = output(INTERPRETED, "end_to_end.py", exchange.url, str(SECONDS), way)
            figure["cpu_us"] = cpu_of(exchange.process.pid).per_order(before, figure["orders"])
            figures.append(figure)
    return figures


def report_order_path(title: str, figures: list[Any]) -> None:
    """Prints one line a way of entry."""
    print(f"\nOrder path, {title}: signed request to committed answer, client included")
    for way in figures:
        print(
            "  {name:16}{orders_per_second:8,} orders/s   p50 {p50_ms:7.2f}  p95 {p95_ms:7.2f}  p99 {p99_ms:7.2f} ms"
            " a request   {errors} errors".format(**way)
        )
        print(
            "  {:16}CPU an order: event loop {loop} us, writer {writer} us, other {others} us".format(
                "", **way["cpu_us"]
            )
        )


def memory() -> list[Any]:
    """Resident memory at 21 points over MEMORY_ORDERS orders."""
    with tempfile.TemporaryDirectory() as folder, running_exchange(Path(folder)) as exchange:
        samples: list[Any] = output(
            INTERPRETED, "memory.py", exchange.url, str(exchange.process.pid), str(MEMORY_ORDERS)
        )[0]
        return samples


def main() -> None:
    """Prints the report and keeps it as results/bench.json."""
    figures: dict[str, Any] = {"core": core()}
    report_core(figures["core"])
    figures["interpreted"] = order_path(INTERPRETED)
    report_order_path("interpreted core", figures["interpreted"])
    figures["compiled"] = order_path(COMPILED)
    report_order_path("compiled core", figures["compiled"])
    figures["memory"] = memory()
    print(f"\nResident memory over {MEMORY_ORDERS:,} orders (MiB at equal steps)")
    print("  " + " ".join(str(sample["resident_mib"]) for sample in figures["memory"]))
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results/bench.json").write_text(json.dumps(figures, indent=1))


main()
