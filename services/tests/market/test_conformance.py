"""`outcry match --format flash1` writes the report stream that its format's own oracle wrote."""

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("OUTCRY_SHARED", Path(__file__).resolve().parents[4] / "shared"))
FLASH1 = SHARED / "conformance" / "flash1"
COLUMNS = ("type", "side", "ioc", "qty", "seq", "order_id", "price")

pytestmark = pytest.mark.skipif(not FLASH1.exists(), reason=f"no flash1 conformance files at {FLASH1}")


def flows() -> list[dict[str, str]]:
    if not FLASH1.exists():
        return []
    with (FLASH1 / "INDEX.csv").open() as file:
        return list(csv.DictReader(file))


def edge_cases() -> dict[str, Any]:
    path = FLASH1 / "flash1_edge_cases_expected.json"
    return json.loads(path.read_text()) if path.exists() else {}


def match(*arguments: str, commands: bytes = b"") -> tuple[bytes, dict[str, Any]]:
    """What `outcry match` writes to standard output, and its figures."""
    program = [sys.executable, "-c", "import sys; from outcry.roles.match import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*program, "--format", "flash1", "--stats", *arguments], input=commands, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.stdout, json.loads(done.stderr)


@pytest.mark.parametrize("flow", flows(), ids=lambda flow: flow["scenario"])
def test_a_recorded_flow_gives_the_expected_reports(flow: dict[str, str]) -> None:
    stem = f"{flow['scenario']}_s{flow['seed']}_n{flow['new_orders']}"
    reports, figures = match(str(FLASH1 / f"{stem}.messages.csv.gz"))
    with gzip.open(FLASH1 / f"{stem}.reports.csv.gz") as expected:
        assert reports == expected.read()
    assert hashlib.sha256(reports).hexdigest() == figures["sha256"] == flow["sha256_of_reports"]
    assert (figures["commands"], figures["events"]) == (int(flow["messages"]), int(flow["reports"]))


@pytest.mark.parametrize("name", edge_cases())
def test_an_edge_case_gives_the_expected_reports(name: str) -> None:
    case = edge_cases()[name]
    rows = [{"seq": seq} | message for seq, message in enumerate(case["messages"])]
    lines = [",".join(COLUMNS), *(",".join(str(row[column]) for column in COLUMNS) for row in rows)]
    reports, _ = match(commands="\n".join(lines).encode())
    assert reports.decode().split("\n") == case["reports"]


def test_there_are_34_edge_cases_and_5_flows() -> None:
    assert (len(edge_cases()), len(flows())) == (34, 5)
