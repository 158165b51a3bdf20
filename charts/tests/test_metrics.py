"""Alerts and dashboards ask only for what processes tell, and their queries are ones that Prometheus reads."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rendered import CHART, named, preset, render

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
PAGES = ("metrics.md", "operator.md")
METRIC = re.compile(r"\b(?:outcry|process|python)_[a-z0-9_]+")
WATCHED = {name: {"enabled": True} for name in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards")}
UNSHOWN = {"outcry_memory_bytes", "outcry_traces_total", "outcry_operator_build_info"}
SUFFIXES = ("_bucket", "_sum", "_count")


def told() -> set[str]:
    """Every metric of the page of metrics, with the series that a histogram has."""
    pages = "".join((ROOT / "docs" / page).read_text() for page in PAGES)
    names = set(re.findall(r"`((?:outcry|process|python)_\w+)`", pages))
    return names | {name + suffix for name in names for suffix in SUFFIXES}


def labels(expression: str) -> set[str]:
    """The labels that a query names, which look like metrics of Python's client."""
    return {name for name in METRIC.findall(expression) if name.startswith("outcry_dev_")}


def alerts() -> list[dict[str, Any]]:
    (group,) = named(render(preset("production")), "PrometheusRule", "outcry-metrics")["spec"]["groups"]
    return group["rules"]  # type: ignore[no-any-return]


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_metrics_that_exist(path: Path) -> None:
    asked = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    assert {name for each in asked for name in set(METRIC.findall(each)) - labels(each)} <= told()
    assert all('namespace="$namespace",app_kubernetes_io_instance="$release"' in each for each in asked)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_of_a_dashboard_do_not_overlap(path: Path) -> None:
    cells = [
        (x, y)
        for panel in json.loads(path.read_text())["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24


def test_every_metric_of_the_page_is_on_a_dashboard_or_in_an_alert() -> None:
    shown = " ".join(path.read_text() for path in DASHBOARDS) + " ".join(alert["expr"] for alert in alerts())
    pages = "\n".join((ROOT / "docs" / page).read_text() for page in PAGES)
    page = set(re.findall(r"^\| `(outcry_\w+)`", pages, re.MULTILINE))
    assert {name for name in page if name not in shown} == UNSHOWN


def test_an_alert_asks_for_metrics_that_exist() -> None:
    assert {name for alert in alerts() for name in METRIC.findall(alert["expr"])} <= told()


def test_warnings_wait_five_minutes_and_critical_alerts_one() -> None:
    alone = ("OutcryFeedBehind", "OutcryOperatorStands")
    pairs = [alert for alert in alerts() if re.search(r"> [\d.]+$", alert["expr"]) and alert["alert"] not in alone]
    assert {(alert["labels"]["severity"], alert["for"]) for alert in pairs} == {("warning", "5m"), ("critical", "1m")}
    by_name: dict[tuple[str, str], set[str]] = {}
    for alert in pairs:
        by_name.setdefault((alert["alert"], alert["expr"].rsplit(">", 1)[0]), set()).add(alert["labels"]["severity"])
    assert all(found == {"warning", "critical"} for found in by_name.values())


def test_shares_of_requests_and_limits_are_those_of_the_values() -> None:
    asked = [alert["expr"] for alert in alerts()]
    assert any(re.search(r'component="api"\}\[5m\]\) / 1 > 0.8', each) for each in asked)
    assert any(each.endswith(f'component="engine"}} / {2 << 30} > 0.85') for each in asked)
    small = named(render(preset("small", metrics=WATCHED)), "PrometheusRule", "outcry-metrics")["spec"]["groups"][0]
    assert any(re.search(r'component="api"\}\[5m\]\) / 0.25 > 0.8', rule["expr"]) for rule in small["rules"])


def test_dashboards_are_configmaps_that_grafanas_sidecar_finds() -> None:
    found = [
        each for each in render(preset("kind", metrics=WATCHED)) if "grafana_dashboard" in each["metadata"]["labels"]
    ]
    assert [json.loads(next(iter(each["data"].values())))["uid"] for each in found] == [
        json.loads(path.read_text())["uid"] for path in DASHBOARDS
    ]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_reads_every_rule_and_every_query(tmp_path: Path) -> None:
    rules = [*alerts()]
    for path in DASHBOARDS:
        rules += [{"record": "x", "expr": target["expr"]} for panel in panels(path) for target in panel["targets"]]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": f"g{n}", "rules": [rule]} for n, rule in enumerate(rules)]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
