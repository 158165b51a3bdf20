"""What the chart promises of every object: least rights, one writer of replicas, nothing named that is not there."""

import re
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from outcry.settings import FILES, ClusterSettings, described
from rendered import PRESETS, Object, containers, named, overlaid, pods, preset, render, title
from toggles import ALL_CANARIES, BY_HAND, GATEWAY, STORES_IN_THE_ENVIRONMENT, TOGGLES

SETTINGS = {each.name for each in [*described(), *described(ClusterSettings)]} | FILES
EVERYTHING = {
    **{name: preset(name) for name in PRESETS},
    **{name: preset("default", **toggle) for name, toggle in TOGGLES.items()},
}


@cache
def all_of(name: str) -> list[Object]:
    """What is rendered once and looked at by many tests."""
    return render(EVERYTHING[name])


@pytest.fixture(params=EVERYTHING, ids=lambda name: name.replace(" ", "-"))
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return all_of(request.param)


def cores(text: Any) -> Fraction:
    """A quantity of CPU."""
    return Fraction(str(text)[:-1]) / 1000 if str(text).endswith("m") else Fraction(str(text))


def secrets_of(spec: Object) -> set[tuple[str, str]]:
    """(Secret, key) that a pod needs."""
    found = set()
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            items = volume["secret"].get("items", [])
            found |= {(volume["secret"]["secretName"], item["key"]) for item in items}
        for source in volume.get("projected", {}).get("sources", []):
            found |= {(source["secret"]["name"], item["key"]) for item in source["secret"]["items"]}
    return found


def test_pods_are_restricted(objects: list[Object]) -> None:
    for each, spec in pods(objects):
        assert spec["securityContext"]["runAsNonRoot"] is True, title(each)
        assert spec["securityContext"]["runAsUser"] > 0, title(each)
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, title(each)
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, title(each)


def test_only_the_operators_pods_have_a_token(objects: list[Object]) -> None:
    with_token = {title(each) for each, spec in pods(objects) if spec["automountServiceAccountToken"]}
    assert with_token <= {"Deployment/outcry-operator", "Job/outcry-crds"}


def test_every_container_says_what_it_needs(objects: list[Object]) -> None:
    for each, spec in pods(objects):
        for container in containers(spec):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), title(each)
            assert "memory" in container["resources"]["limits"], title(each)


def test_nobody_is_told_how_many_where_the_operator_or_an_hpa_scales(objects: list[Object]) -> None:
    scaled = {each["spec"]["targetRef"]["name"] for each in objects if each["kind"] == "ScalePolicy"}
    scaled |= {each["spec"]["scaleTargetRef"]["name"] for each in objects if each["kind"] == "HorizontalPodAutoscaler"}
    scaled |= {each["spec"]["canaryRef"]["name"] for each in objects if each["kind"] == "CanaryRelease"}
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert ("replicas" in each["spec"]) is (each["metadata"]["name"] not in scaled), title(each)


def test_who_wants_no_pod_gets_none() -> None:
    objects = render(preset("kind", **overlaid(BY_HAND, {"api": {"replicaCount": 0}})))
    assert named(objects, "Deployment", "outcry-api")["spec"]["replicas"] == 0
    assert named(objects, "Deployment", "outcry-simulate")["spec"]["replicas"] == 1


def test_every_secret_of_the_release_has_the_keys_that_pods_mount(objects: list[Object]) -> None:
    made = {each["metadata"]["name"]: set(each["data"]) for each in objects if each["kind"] == "Secret"}
    for each, spec in pods(objects):
        for name, key in secrets_of(spec):
            assert not name.startswith("outcry-") or name not in made or key in made[name], (title(each), name, key)


def test_a_secret_that_is_not_made_is_one_that_the_values_name() -> None:
    for name, values in EVERYTHING.items():
        objects = all_of(name)
        made = {each["metadata"]["name"] for each in objects if each["kind"] == "Secret"}
        needed = {secret for _, spec in pods(objects) for secret, _ in secrets_of(spec)}
        assert all(secret in str(values) for secret in needed - made), name


def test_every_account_configmap_and_service_that_is_named_exists(objects: list[Object]) -> None:
    there = {title(each) for each in objects}
    for each, spec in pods(objects):
        account = spec.get("serviceAccountName", "default")
        assert account in ("default", "mine") or f"ServiceAccount/{account}" in there, title(each)
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                assert f"ConfigMap/{volume['configMap']['name']}" in there, title(each)
        if each["kind"] == "StatefulSet":
            assert f"Service/{each['spec']['serviceName']}" in there, title(each)


def test_every_variable_is_a_setting(objects: list[Object]) -> None:
    for each, spec in pods(objects):
        for container in containers(spec):
            names = [variable["name"] for variable in container.get("env", [])]
            assert max(Counter(names).values(), default=1) == 1, title(each)
            ours = {name for name in names if name.startswith(("OUTCRY_", "SIMULATION_"))}
            assert ours <= SETTINGS, title(each)


def test_every_component_that_scales_may_be_disrupted_one_at_a_time() -> None:
    budgets = {
        each["metadata"]["name"]: each["spec"]
        for each in render(preset("kind"))
        if each["kind"] == "PodDisruptionBudget"
    }
    assert set(budgets) == {"outcry-api", "outcry-engine", "outcry-stream"}
    assert all(budget["maxUnavailable"] == 1 for budget in budgets.values())


def test_selectors_are_the_labels_of_the_pods_and_hold_nothing_that_changes(objects: list[Object]) -> None:
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            chosen = each["spec"]["selector"]["matchLabels"]
            assert chosen.items() <= each["spec"]["template"]["metadata"]["labels"].items()
            assert set(chosen) == {
                "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component",
                "outcry.dev/track",
            }, title(each)  # fmt: skip


def test_the_smallest_preset_fits_a_node_of_two_cores_with_three_engines_and_a_canary() -> None:
    objects = render(overlaid(preset("kind"), ALL_CANARIES))
    wanted = {"outcry-engine": 3, "outcry-stream-canary": 0, "outcry-engine-canary": 0, "outcry-setup": 0}
    total = Fraction(0)
    for each, spec in pods(objects):
        if each["kind"] in ("Deployment", "StatefulSet"):
            own = sum(cores(container["resources"]["requests"]["cpu"]) for container in spec["containers"])
            total += own * wanted.get(each["metadata"]["name"], 1)
    assert total < 1, "kind's own pods want almost one core"


def test_equal_tracks_have_equal_revisions_and_others_have_not() -> None:
    def revisions(**canary: Any) -> tuple[str, str]:
        objects = render(preset("kind", canary={"api": {"enabled": True, **canary}}))
        stable, tried = (named(objects, "Deployment", name) for name in ("outcry-api", "outcry-api-canary"))
        for each in (stable, tried):
            pod = each["spec"]["template"]["metadata"]["annotations"]
            assert pod["outcry.dev/revision"] == each["metadata"]["annotations"]["outcry.dev/revision"]
        return tuple(each["metadata"]["annotations"]["outcry.dev/revision"] for each in (stable, tried))  # type: ignore[return-value]

    equal, also = revisions()
    assert equal == also
    for change in ({"image": {"tag": "2"}}, {"featureFlags": {"klines": False}}, {"env": {"OUTCRY_LIMITS": "off"}}):
        stable, tried = revisions(**change)
        assert stable == equal and tried != equal, change


def test_a_canary_engine_claims_only_what_is_reserved_for_it() -> None:
    objects = render(preset("kind", **ALL_CANARIES))
    claims = {
        name: next(
            variable["value"]
            for variable in named(objects, "StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]["env"]
            if variable["name"] == "OUTCRY_CLAIM"
        )
        for name in ("outcry-engine", "outcry-engine-canary")
    }
    assert claims == {"outcry-engine": "share", "outcry-engine-canary": "reserved"}


def test_a_role_mounts_the_database_login_of_its_own_and_no_other() -> None:
    keys = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: sorted(
            key for _, key in secrets_of(spec) if "-url" in key
        )
        for each, spec in pods(render(preset("kind")))
    }  # fmt: skip
    assert keys["api"] == ["api-url", "fanout-url", "state-url"]
    assert keys["engine"] == ["engine-url", "fanout-url", "state-url"]
    assert keys["stream"] == ["fanout-url", "state-url", "stream-url"]
    assert keys["setup"] == ["fanout-url", "setup-url", "state-url"]
    assert keys["simulate"] == keys["operator"] == keys["tests"] == []


def test_engines_have_neither_the_master_key_nor_feature_flags() -> None:
    spec = named(render(preset("kind")), "StatefulSet", "outcry-engine")["spec"]["template"]["spec"]
    assert {volume["name"] for volume in spec["volumes"]} == {"tmp", "postgresql", "redis", "admin"}


def test_the_operator_scales_by_name_and_reads_no_secret() -> None:
    objects = render(preset("kind", **ALL_CANARIES))
    assert not [
        each for each in objects if each["kind"] == "ClusterRole" and each["metadata"]["name"] != "market-outcry-crds"
    ]
    rules = named(objects, "Role", "outcry-operator")["rules"]
    scales = {rule["resources"][0]: set(rule["resourceNames"]) for rule in rules if "scale" in rule["resources"][0]
              and rule["apiGroups"] == ["apps"]}  # fmt: skip
    assert scales == {
        "deployments/scale": {"outcry-api", "outcry-api-canary", "outcry-stream", "outcry-stream-canary"},
        "statefulsets/scale": {"outcry-engine", "outcry-engine-canary"},
    }
    named_resources = {resource for rule in rules for resource in rule["resources"]}
    assert not {"secrets", "*", "configmaps"} & named_resources
    assert not any(verb in rule["verbs"] for rule in rules for verb in ("*", "deletecollection"))


def test_a_route_has_one_writer() -> None:
    with_operator = render(preset("kind", **GATEWAY))
    assert not [each for each in with_operator if each["kind"] == "HTTPRoute"]
    assert {"ConfigMap/outcry-api-route", "ConfigMap/outcry-stream-route"} <= {title(each) for each in with_operator}
    by_hand = render(preset("kind", **overlaid(overlaid(GATEWAY, BY_HAND), {"canary": {"api": {"weight": 30}}})))
    rules = named(by_hand, "HTTPRoute", "outcry-api")["spec"]["rules"]
    assert [backend.get("weight") for backend in rules[-1]["backendRefs"]] == [70, 30]
    assert not [each for each in by_hand if each["kind"] == "ConfigMap" and each["metadata"]["name"].endswith("-route")]


def test_one_service_stands_before_both_tracks_unless_a_gateway_splits_them() -> None:
    together = named(render(preset("kind", **ALL_CANARIES)), "Service", "outcry-api")["spec"]["selector"]
    assert "outcry.dev/track" not in together
    apart = render(preset("kind", **GATEWAY))
    tracks = {name: named(apart, "Service", name)["spec"]["selector"]["outcry.dev/track"]
              for name in ("outcry-api", "outcry-api-canary")}  # fmt: skip
    assert tracks == {"outcry-api": "stable", "outcry-api-canary": "canary"}


def test_every_pod_is_selected_by_a_policy_that_denies(objects: list[Object]) -> None:
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    if not policies:
        return
    general = named(objects, "NetworkPolicy", "outcry-default")["spec"]
    assert general["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in general
    for each, _ in pods(objects):
        labels = each["metadata"]["labels"] if each["kind"] == "Pod" else each["spec"]["template"]["metadata"]["labels"]
        assert general["podSelector"]["matchLabels"].items() <= labels.items(), title(each)


def test_no_rule_of_a_policy_forgets_its_peer(objects: list[Object]) -> None:
    for each in objects:
        if each["kind"] == "NetworkPolicy":
            for rule in [*each["spec"].get("ingress", []), *each["spec"].get("egress", [])]:
                assert rule.get("from", [{}]) and rule.get("to", [{}]), title(each)
                assert rule.get("ports") or rule.get("to"), title(each)


def test_what_a_user_sets_replaces_what_the_chart_says() -> None:
    objects = render(preset("kind", **STORES_IN_THE_ENVIRONMENT))
    env = named(objects, "Deployment", "outcry-api")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "OUTCRY_KAFKA", "value": "k:9092"} in env
    assert not [each for each in env if each["name"] in ("OUTCRY_POSTGRES_FILE", "OUTCRY_REDIS_STATE_FILE")]


def test_an_image_is_one_of_a_digest_where_one_is_given_and_a_later_tag_wins() -> None:
    digest = "sha256:" + "0" * 64
    values = preset("kind", image={"digest": digest}, canary={"api": {"enabled": True, "image": {"tag": "2"}}})
    objects = render(overlaid(values, {"global": {"imageRegistry": "r.example"}}))
    images = [named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"]
              for name in ("outcry-api", "outcry-api-canary")]  # fmt: skip
    assert images == [f"r.example/outcry@{digest}", "r.example/outcry:2"]


def test_names_of_cluster_scoped_objects_hold_namespace_and_release() -> None:
    scoped = [each for each in render(preset("kind")) if each["kind"].startswith(("Cluster", "Validating"))]
    assert scoped and all(each["metadata"]["name"].startswith("market-outcry-") for each in scoped)
    without = render(preset("kind", engine={"scaleInGuard": False}, operator={"crds": {"upgrade": False}}))
    assert not [each for each in without if each["kind"].startswith(("Cluster", "Validating"))]


def test_a_change_of_the_setup_is_another_job() -> None:
    def job(**values: Any) -> str:
        (found,) = [title(each) for each in render(preset("kind", **values)) if re.search("setup-", title(each))]
        return found

    assert job() == job() != job(image={"tag": "2"})
