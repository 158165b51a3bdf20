"""Every object that the chart renders is one that Kubernetes 1.33 to 1.37, or the chart's own CRDs, accept."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pytest
import yaml
from helm_python import lint
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from rendered import CHART, PRESETS, Object, overlaid, preset, render, title
from toggles import TOGGLES

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
SCHEMAS = resources.files("kubernetes_validate") / "kubernetes-json-schema"
OF_OTHERS = ("monitoring.coreos.com", "gateway.networking.k8s.io")

Schema = dict[str, Any]


@cache
def definitions(version: str) -> Registry[Any]:
    """All types of one release of Kubernetes."""
    text = (SCHEMAS / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    return Resource.from_contents(json.loads(text)) @ Registry()


@cache
def validator(version: str, api_version: str, kind: str) -> Draft202012Validator:
    """What a release of Kubernetes says about a kind; fields that it does not know are wrong."""
    group, _, number = api_version.rpartition("/")
    name = "-".join([kind.lower(), *([group.partition(".")[0]] if group else []), number])
    schema = json.loads((SCHEMAS / f"v{version}.0-local-strict" / f"{name}.json").read_text())
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ definitions(version))


@cache
def own(kind: str) -> Draft202012Validator:
    """The chart's own kinds, with fields that the CRD does not know taken for wrong."""
    for path in (CHART / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        if crd["spec"]["names"]["kind"] == kind:
            return Draft202012Validator(closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    raise AssertionError(kind)


def closed(schema: Any) -> Any:
    """A structural schema that refuses what it does not name, but in an object's metadata."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items() if not key.startswith("x-") and key != "format"}
    return {**inner, "additionalProperties": False} if isinstance(inner.get("properties"), dict) else inner


def wrong(each: Object, version: str) -> Iterator[str]:
    """What is wrong with an object, in words."""
    group = each["apiVersion"].rpartition("/")[0]
    if group in OF_OTHERS:
        return
    check = own(each["kind"]) if group == "outcry.dev" else validator(version, each["apiVersion"], each["kind"])
    for error in check.iter_errors(each):
        yield f"{title(each)} {'.'.join(map(str, error.path))}: {error.message}"


SEEN: set[tuple[str, str]] = set()


def check_all(objects: list[Object], *versions: str) -> None:
    """Asserts that nothing is wrong; an object that was looked at already is not looked at again."""
    for version in versions:
        for each in objects:
            key = (version, json.dumps(each, sort_keys=True))
            if key not in SEEN:
                SEEN.add(key)
                assert list(wrong(each, version)) == []


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_on_every_kubernetes(name: str) -> None:
    check_all(render(preset(name)), *VERSIONS)


@pytest.mark.parametrize("name", TOGGLES)
def test_every_toggle_is_valid_on_the_oldest_and_the_newest_kubernetes(name: str) -> None:
    check_all(render(preset("default", **TOGGLES[name])), VERSIONS[0], VERSIONS[-1])


@pytest.mark.parametrize("name", TOGGLES)
def test_every_toggle_goes_with_the_smallest_preset(name: str) -> None:
    objects = render(overlaid(preset("kind"), TOGGLES[name]), name="another")
    assert len({title(each) for each in objects}) == len(objects)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    (deployment, *_) = [each for each in render(preset("kind")) if each["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["portz"] = []
    assert any("portz" in each for each in wrong(deployment, "1.33"))


def test_a_field_that_the_crd_does_not_know_is_found() -> None:
    (policy, *_) = [each for each in render(preset("kind")) if each["kind"] == "ScalePolicy"]
    policy["spec"]["minimum"] = 1
    assert any("minimum" in each for each in wrong(policy, "1.33"))


@pytest.mark.parametrize("name", PRESETS)
def test_helm_lint_finds_nothing(name: str) -> None:
    report = lint(CHART, preset(name), namespace="market", strict=True, kube_version="v1.33.0")
    assert [each for each in report["messages"] if each["severity"] > 1] == [] and report["errors"] == []
