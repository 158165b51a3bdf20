"""Values that are wrong are refused in words that say what to do, and what is right is the same for every component."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.errors import HelmRenderError, HelmValuesError

from rendered import CHART, notes, preset, render

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
ROLES = ("api", "engine", "stream", "simulate", "setup", "operator")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"api": {"replica": 1}}, "additional properties 'replica' not allowed"),
        ({"apis": {}}, "additional properties 'apis' not allowed"),
        ({"engine": {"partitions": 65}}, "'/engine/partitions'"),
        ({"engine": {"autoscaling": {"provider": "hpa"}}}, "must be one of 'operator', 'none'"),
        ({"kafka": {"mode": "bitnami"}}, "must be one of 'dev', 'external', 'none'"),
        ({"api": {"env": {"OUTCRY_LIMITS": ["a"]}}}, "'/api/env/OUTCRY_LIMITS'"),
        ({"api": {"image": {"digest": "abc"}}}, "'/api/image/digest'"),
        ({"api": {"autoscaling": {"triggers": [{"cpu": {}, "memory": {}}]}}}, "maxProperties"),
        ({"canary": {"api": {"steps": []}}}, "minItems"),
        ({"canary": {"engine": {"weight": 1}}}, "additional properties 'weight' not allowed"),
        ({"engine": {"featureFlags": {}}}, "additional properties 'featureFlags' not allowed"),
    ],
)
def test_the_schema_refuses(values: dict[str, Any], text: str) -> None:
    with pytest.raises(HelmValuesError, match=re.escape(text)):
        render(values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kafka": {"mode": "external"}}, "set kafka.external.bootstrapServers"),
        (
            {"kafka": {"mode": "external", "external": {"bootstrapServers": "k:1", "securityProtocol": "SASL_SSL"}}},
            "name the Secret with the password in kafka.external.existingSecret",
        ),
        ({"postgresql": {"mode": "external"}}, "with setup-url, api-url, engine-url and stream-url"),
        ({"redis": {"mode": "external"}}, "in redis.state.external.existingSecret"),
        ({"redis": {"mode": "none"}}, "set OUTCRY_REDIS_STATE in env or engine.env, or give engine.envFrom"),
        ({"operator": {"enabled": False}}, "api.autoscaling.provider is operator, but operator.enabled is false"),
        ({"api": {"autoscaling": {"minReplicas": 11}}}, "api.autoscaling.minReplicas is above maxReplicas"),
        ({"api": {"resources": {"requests": None}}}, "set api.resources.requests.cpu"),
        (
            {"api": {"autoscaling": {"provider": "hpa", "triggers": [{"connections": {}}]}}},
            "hpa, which knows cpu and memory, not connections",
        ),
        ({"route": {"type": "httproute"}}, "name the Gateway in route.gateway.name"),
        ({"canary": {"traffic": {"provider": "gatewayAPI"}}}, "set route.type to httproute"),
        ({"canary": {"api": {"enabled": True, "steps": [5, 50]}}}, "the last of canary.api.steps must be 100"),
        ({"canary": {"api": {"enabled": True}}, "api": {"autoscaling": {"provider": "none"}}}, "two writers"),
        ({"demo": {"enabled": False}}, "simulate.enabled needs demo.enabled"),
        ({"setup": {"enabled": False}}, "an empty database needs its schema"),
        ({"api": {"enabled": False}}, "simulate.enabled needs api.enabled and stream.enabled"),
    ],
)
def test_values_that_do_not_go_together_are_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(HelmRenderError, match=re.escape(text)):
        render(values)


def test_all_problems_are_told_at_once() -> None:
    values = {"kafka": {"mode": "external"}, "postgresql": {"mode": "external"}, "redis": {"mode": "external"}}
    with pytest.raises(HelmRenderError) as told:
        render(values)
    assert str(told.value).count("\n  - ") == 4


def test_components_have_the_same_keys_in_the_same_words() -> None:
    component = set(SCHEMA["$defs"]["component"]["properties"])
    for role in ROLES:
        assert set(DEFAULTS[role]) - component <= {"partitions", "scaleInGuard", "crds", "apiServerCIDRs"}, role
        for key in ("podSecurityContext", "securityContext", "serviceAccount", "networkPolicy"):
            assert DEFAULTS[role][key] == DEFAULTS["api"][key], (role, key)
    assert set(DEFAULTS["api"]) == set(DEFAULTS["stream"]) == component


def test_the_schema_is_closed_everywhere() -> None:
    def open_places(schema: Any, path: str) -> list[str]:
        if not isinstance(schema, dict):
            return []
        here = [path] if "properties" in schema and schema.get("additionalProperties") is not False else []
        return here + [
            found for key, value in schema.items() if key not in ("enum", "required")
            for found in open_places(value, f"{path}/{key}")
        ]  # fmt: skip

    assert open_places(SCHEMA, "") == ["/$defs/component"]


def test_every_default_is_one_that_the_schema_knows_and_the_other_way_round() -> None:
    def leaves(schema: dict[str, Any], path: tuple[str, ...]) -> set[tuple[str, ...]]:
        while "$ref" in schema:
            target: Any = SCHEMA
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        inner = schema.get("properties")
        if not inner:
            return {path}
        return {leaf for key, value in inner.items() for leaf in leaves(value, (*path, key))}

    optional = ("autoscaling", "analysis", "shadow", "rollback", "probes", "resources", "metrics", "behavior")
    for path in leaves(SCHEMA, ()):
        if any(part in optional for part in path) or path[-1] in (
            "progressDeadlineSeconds",
            "topologySpreadConstraints",
        ):
            continue
        node: Any = DEFAULTS
        for part in path:
            assert part in node, path
            node = node[part]


def test_the_notes_warn_of_what_is_not_for_production() -> None:
    assert notes(preset("kind")).count("WARNING") == 4
    assert "WARNING" not in notes(preset("production"))
