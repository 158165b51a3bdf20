"""A cluster on real Kafka, PostgreSQL and Redis, struck by faults under load, loses and doubles nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import PORTS
from tests.support.kafka import component
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[3]
LONG = bool(os.environ.get("OUTCRY_TEST_LONG"))
FAULTS, ORDERS = (300, 100_000) if LONG else (30, 1_500)
LIMIT_SECONDS = 7_000 if LONG else 560
STRIKE_SECONDS = 3_000  # of the long form, for faults and orders; what is missing then fails it
FLOW = ["--rate", 120, "--clients", 64, "--batches", 0.5, "--batch", "20-50", "--at-once", "3-8"]
LONG_WORDS = ["--seconds", STRIKE_SECONDS, *FLOW]
SHORT_WORDS = ["--rate", 40, "--brief"]
COMPONENTS = ("OUTCRY_KAFKA", "OUTCRY_POSTGRES", "OUTCRY_REDIS_FANOUT", "OUTCRY_REDIS_STATE")


@pytest.mark.timeout(LIMIT_SECONDS + 20)
def test_a_cluster_struck_by_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for name in COMPONENTS:
        component(name)  # the campaign strikes components of its own; where there are these, it can have them
    card = tmp_path / "card.json"
    words = ["--faults", FAULTS, "--orders", ORDERS, "--port", free_ports(PORTS), "--card", card]
    words += LONG_WORDS if LONG else SHORT_WORDS
    done = subprocess.run(
        [sys.executable, ROOT / "load-tests" / "faults.py", *map(str, words)],
        capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    figures = json.loads(card.read_text())
    assert figures["faults"] >= FAULTS
    assert figures["orders"] >= ORDERS
    assert figures["accepted"] > ORDERS // 3
    assert (figures["lost"], figures["doubled"], figures["gaps"], figures["broken"]) == (0, 0, [], [])
    assert figures["streams"]["market"]["books equal at the end"] == 8
    assert figures["streams"]["market"]["diffs"] > 0
    assert all(figures["streams"][account]["executions"] > 0 for account in ("account 0", "account 1"))
