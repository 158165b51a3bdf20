"""The HTTPRoute that divides traffic between two Services, made from the chart's template; only its weights are ours.

Source: Gateway API v1, https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from outcry_operator.resource import Malformed

KEY: Final = "route.yaml"


def route_of(config_map: Mapping[str, Any]) -> dict[str, Any]:
    """The route of a ConfigMap. Raises Malformed."""
    text = (config_map.get("data") or {}).get(KEY)
    if not text:
        raise Malformed(f"ConfigMap {config_map['metadata']['name']} has no {KEY}")
    try:
        found: Any = msgspec.yaml.decode(text.encode())
    except msgspec.DecodeError as wrong:
        raise Malformed(f"{KEY} cannot be read: {wrong}") from None
    if not isinstance(found, dict) or found.get("kind") != "HTTPRoute" or "name" not in (found.get("metadata") or {}):
        raise Malformed(f"{KEY} is no HTTPRoute with a name")
    return found


def weighed(route: Mapping[str, Any], stable: str, canary: str, weight: int) -> dict[str, Any]:
    """The route with ``weight`` percent to the canary, in each rule that names both Services. Raises Malformed."""
    weights = {stable: 100 - weight, canary: weight}
    rules, found = [], False
    for rule in (route.get("spec") or {}).get("rules") or ():
        refs = rule.get("backendRefs") or []
        if {each.get("name") for each in refs} >= weights.keys():
            found = True
            refs = [{**each, "weight": weights.get(each["name"], each.get("weight", 1))} for each in refs]
            rule = {**rule, "backendRefs": refs}
        rules.append(rule)
    if not found:
        raise Malformed(f"no rule of the route names both {stable} and {canary}")
    return {**route, "spec": {**route["spec"], "rules": rules}}


def owned(route: Mapping[str, Any], kind: str, workload: Mapping[str, Any]) -> dict[str, Any]:
    """The route as one that goes with the stable workload: nobody else takes it away at an uninstall."""
    meta = workload["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}
    return {**route, "metadata": {**route["metadata"], "ownerReferences": [owner]}}


def without(route: Mapping[str, Any], canary: str) -> dict[str, Any]:
    """The route as it is applied once there is no canary: nothing goes to its Service any more."""
    rules = []
    for rule in (route.get("spec") or {}).get("rules") or ():
        refs = [each for each in rule.get("backendRefs") or [] if each.get("name") != canary]
        if refs or not rule.get("backendRefs"):
            rules.append({**rule, "backendRefs": refs})
    kept = ("name", "labels", "annotations", "ownerReferences")
    meta = {name: route["metadata"][name] for name in kept if name in route["metadata"]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": meta,
        "spec": {**route["spec"], "rules": rules},
    }


def weight_in(route: Mapping[str, Any], canary: str) -> int:
    """The canary's weight in a route as it stands; 0 where it has none."""
    for rule in (route.get("spec") or {}).get("rules") or ():
        refs = rule.get("backendRefs") or []
        if len(refs) > 1:
            return next((int(each.get("weight", 1)) for each in refs if each.get("name") == canary), 0)
    return 0
