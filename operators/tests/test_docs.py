"""The page of the operator is true: its metrics, settings, fields, conditions and events are those of the code."""

import re
from pathlib import Path
from typing import Any

from outcry_operator import cli
from outcry_operator.canary.state import PHASES
from outcry_operator.conditions import CONDITIONS
from outcry_operator.names import METRICS
from outcry_operator.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operator.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_metrics_are_the_catalogue() -> None:
    shown = {row[0].strip("`"): row[1:] for row in ROWS if row[0].startswith("`outcry_operator_")}
    assert shown == {
        each.name: [each.kind, ", ".join(f"`{label}`" for label in each.labels), each.about] for each in METRICS
    }


def test_the_settings_are_those_that_are_read() -> None:
    shown = {row[0].strip("`"): [row[1].strip("`"), *row[2:]] for row in ROWS if row[0].startswith("`OPERATOR_")}
    assert shown == {each.name: [each.default, each.rule, each.about] for each in VARIABLES}


def fields(schema: dict[str, Any], depth: int) -> set[str]:
    found: set[str] = set()
    for name, each in schema.get("properties", {}).items():
        found.add(name)
        if depth:
            found |= fields(each.get("items", each), depth - 1)
    return found


def test_every_field_of_both_specs_is_told() -> None:
    words = set(re.findall(r"[A-Za-z]+", PAGE))
    for crd in cli.crds_of(ROOT / "charts/outcry/crds"):
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert fields(spec, 2) - words - {"kind", "windowOffsets", "periodSeconds", "value", "type"} == set()


def test_every_condition_phase_event_and_guard_is_told() -> None:
    assert [row[0].strip("`") for row in ROWS if row[0].strip("`") in CONDITIONS] == list(CONDITIONS)
    assert {phase for phase in PHASES if phase not in PAGE} == set()
    code = "".join(path.read_text() for path in (ROOT / "operators/outcry_operator").rglob("*.py"))
    reasons = set(re.findall(r'Note\(\w+, "(\w+)"', code))
    assert len(reasons) >= 4 and {reason for reason in reasons if f"`{reason}`" not in PAGE} == set()
    plan = (ROOT / "operators/outcry_operator/plan.py").read_text()
    guards = re.findall(
        r'^(?:SCALE_\w+|CANARY_LIVE|POD_NOT_READY|PARTITION_UNOWNED): Final = "(\w+)"', plan, re.MULTILINE
    )
    assert len(guards) == 5 and {guard for guard in guards if f"`{guard}`" not in PAGE} == set()
