"""The arithmetic answers what HPA and Argo Rollouts answer in their own public tests."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from outcry_operator.resource import Limits, Rate, Tolerance
from outcry_operator.scaling import (
    Load,
    Past,
    Range,
    for_total,
    rate_limit,
    replica_ratio,
    stabilize,
    utilization,
)

SHARED = Path(os.environ.get("OUTCRY_SHARED", Path(__file__).resolve().parents[3] / "shared"))
VECTORS = SHARED / "conformance" / "autoscaler" / "vectors.json"

pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason=f"no expected values at {VECTORS}")
ENTRIES = json.loads(VECTORS.read_text())["vectors"] if VECTORS.exists() else []

Inputs = Mapping[str, Any]
Answer = Mapping[str, Any]


def tolerance(inputs: Inputs) -> Tolerance:
    return Tolerance(up=inputs["tolerance"], down=inputs["tolerance"])


def limits(found: Mapping[str, Any]) -> Limits:
    rates = [
        Rate(type=each["type"], value=each["value"], period_seconds=each["periodSeconds"]) for each in found["policies"]
    ]
    return Limits(0, found["selectPolicy"], rates)


def past(rows: Sequence[Mapping[str, int]]) -> list[Past]:
    return [Past(row["ageSeconds"] * 1000, row["replicas"]) for row in rows]


def by_utilization(inputs: Inputs) -> Answer:
    loads = [Load(pod["requestMilli"], pod["usedMilli"], pod["ready"]) for pod in inputs["pods"]]
    used = utilization(loads, inputs["currentReplicas"], inputs["targetUtilizationPercent"], tolerance(inputs))
    return {"replicas": used.replicas}


def by_total(inputs: Inputs) -> Answer:
    found = for_total(inputs["total"], inputs["targetPerReplica"], inputs["currentReplicas"], tolerance(inputs))
    return {"replicas": found}


def by_window(inputs: Inputs) -> Answer:
    windows = (0, inputs["windowSeconds"] * 1000)
    highest = 1_000_000  # a current number so high that only the way down is looked at
    return {"replicas": stabilize(highest, inputs["desiredReplicas"], past(inputs["recommendations"]), windows)}


def by_rate(inputs: Inputs) -> Answer:
    found = rate_limit(
        inputs["currentReplicas"], inputs["desiredReplicas"], Range(inputs["minReplicas"], inputs["maxReplicas"]),
        up=limits(inputs["scaleUp"]), down=limits(inputs["scaleDown"]),
        added=past(inputs["scaleUpEvents"]), removed=past(inputs["scaleDownEvents"]),
    )  # fmt: skip
    return found._asdict()


def by_ratio(inputs: Inputs) -> Answer:
    return replica_ratio(inputs["replicas"], inputs["weightPercent"], inputs["maxSurge"])._asdict()


RULES: dict[str, Callable[[Inputs], Answer]] = {
    "utilization": by_utilization,
    "totalPerReplica": by_total,
    "stabilizeDown": by_window,
    "rateLimit": by_rate,
    "replicaRatio": by_ratio,
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_answer_is_the_expected_one(entry: Mapping[str, Any]) -> None:
    answer = RULES[entry["rule"]](entry["inputs"])
    assert {name: answer[name] for name in entry["expected"]} == entry["expected"]


def test_all_of_them_were_looked_at() -> None:
    counts = {"utilization": 12, "totalPerReplica": 3, "stabilizeDown": 5, "rateLimit": 23, "replicaRatio": 36}
    assert Counter(entry["rule"] for entry in ENTRIES) == counts
