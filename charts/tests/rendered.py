"""The chart as Helm renders it, and the presets laid over each other as `helm -f` lays them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

CHART = Path(__file__).resolve().parents[1] / "outcry"
PRESETS = {
    "default": (),
    "kind": ("kind",),
    "minikube": ("minikube",),
    "small": ("small",),
    "production": ("production",),
    "kind-gateway": ("kind", "gateway"),
    "production-gateway": ("production", "gateway"),
}
LOOKED_AT = ("kind", "kind-gateway", "small", "production")  # those whose renders are kept
WORKLOADS = ("Deployment", "StatefulSet", "Job", "Pod")

Object = dict[str, Any]
Values = dict[str, Any]


@cache
def chart() -> Chart:
    """The chart, loaded once."""
    return Chart.load(CHART)


def preset(name: str, **more: Any) -> Values:
    """The values of a preset, and others laid over them."""
    values: Values = {}
    for each in PRESETS[name]:
        values = overlaid(values, yaml.safe_load((CHART / f"values-{each}.yaml").read_text()))
    return overlaid(values, more)


def overlaid(below: Values, above: Mapping[str, Any]) -> Values:
    """Maps are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = overlaid(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return merged


def render(values: Values, name: str = "outcry") -> list[Object]:
    """The objects of a release in the namespace `market`, hooks among them. Raises HelmRenderError, HelmValuesError."""
    chart().validate_schema(values)
    files = chart().render(values, name=name, namespace="market")
    texts = [text for path, text in sorted(files.items()) if not path.endswith("NOTES.txt")]
    return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def notes(values: Values) -> str:
    """What Helm says at the end."""
    return chart().render(values, name="outcry", namespace="market")["outcry/templates/NOTES.txt"]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Every workload with the spec of its pods."""
    for each in objects:
        if each["kind"] in WORKLOADS:
            yield each, each["spec"] if each["kind"] == "Pod" else each["spec"]["template"]["spec"]


def containers(spec: Object) -> list[Object]:
    """All containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def title(each: Object) -> str:
    """An object as kubectl names it."""
    return f"{each['kind']}/{each['metadata']['name']}"
