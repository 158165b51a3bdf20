"""The page of the chart shows every value of values.yaml with its default, and no other."""

import re
from pathlib import Path
from typing import Any

import yaml

from rendered import CHART

PAGE = (Path(__file__).resolve().parents[2] / "docs/chart.md").read_text()
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
ROW = re.compile(r"^\| `([a-zA-Z<>.]+)` \| (?:`(.*?)`)? ?\| ", re.MULTILINE)
ROLES = ("api", "engine", "stream", "simulate", "setup", "operator")
ALIKE = {f"canary.{role}": "canary.api" for role in ("stream", "engine")}


def value(path: str) -> Any:
    """What stands in values.yaml at a path; the defaults of a role are those of the api."""
    found: Any = DEFAULTS
    for part in path.replace("<role>", "api").split("."):
        found = found[part]
    return found


def leaves(node: Any, path: str = "") -> list[str]:
    """Every value that can be set by itself."""
    if not isinstance(node, dict) or not node:
        return [path]
    return [leaf for key, inner in node.items() for leaf in leaves(inner, f"{path}.{key}".lstrip("."))]


def shown_as(leaf: str) -> list[str]:
    """The paths under which a page may show a leaf: its own, that of any role, that of the api's canary."""
    role, _, rest = leaf.partition(".")
    paths = [leaf, *([f"<role>.{rest}"] if role in ROLES else [])]
    return paths + [leaf.replace(own, shown) for own, shown in ALIKE.items() if leaf.startswith(own)]


def test_every_default_on_the_page_is_the_one_of_the_file() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) > 80
    assert [(path, text) for path, text in rows if value(path) != (yaml.safe_load(text) if text else "")] == []


def test_every_value_of_the_file_is_on_the_page() -> None:
    told = {path for path, _ in ROW.findall(PAGE)}
    missing = [
        leaf
        for leaf in leaves(DEFAULTS)
        if not any(path == each or path.startswith(each + ".") for path in shown_as(leaf) for each in told)
    ]
    assert missing == []


def test_every_alert_of_the_page_is_one_of_the_chart() -> None:
    rules = (CHART / "templates/metrics/rules.yaml").read_text()
    assert set(re.findall(r"`(Outcry\w+)`", PAGE)) == set(re.findall(r'"name" "(Outcry\w+)"', rules))
