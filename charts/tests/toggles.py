"""What people switch: a name for each set of values that the tests render, beside the presets."""

from typing import Any

Toggle = dict[str, Any]

STORES_ELSEWHERE: Toggle = {
    "kafka": {"mode": "external", "external": {"bootstrapServers": "k:9092"}},
    "postgresql": {"mode": "external", "external": {"existingSecret": "pg"}},
    "redis": {
        "mode": "external",
        "fanout": {"external": {"existingSecret": "fanout"}},
        "state": {"external": {"existingSecret": "state"}},
    },
}
STORES_IN_THE_ENVIRONMENT: Toggle = {
    "kafka": {"mode": "none"},
    "postgresql": {"mode": "none"},
    "redis": {"mode": "none"},
    "env": {
        "OUTCRY_KAFKA": "k:9092",
        "OUTCRY_POSTGRES": {"valueFrom": {"secretKeyRef": {"name": "pg", "key": "url"}}},
        "OUTCRY_REDIS_FANOUT": "redis://a",
        "OUTCRY_REDIS_STATE": "redis://b",
    },
}
BY_HAND: Toggle = {
    "operator": {"enabled": False},
    **{role: {"autoscaling": {"provider": "none"}} for role in ("api", "engine", "stream")},
}
BY_AN_HPA: Toggle = {"autoscaling": {"provider": "hpa", "triggers": [{"cpu": {}}, {"memory": {}}]}}
ALL_CANARIES: Toggle = {"canary": {role: {"enabled": True} for role in ("api", "engine", "stream")}}
GATEWAY: Toggle = {
    "route": {"type": "httproute", "gateway": {"name": "edge", "namespace": "gateways", "sectionName": "web"}},
    "canary": {"traffic": {"provider": "gatewayAPI"}, "api": {"enabled": True}, "stream": {"enabled": True}},
}
TOGGLES: dict[str, Toggle] = {
    "stores elsewhere": STORES_ELSEWHERE,
    "stores in the environment": STORES_IN_THE_ENVIRONMENT,
    "replicas by hand": BY_HAND,
    "scaled by an HPA": {**BY_HAND, "api": BY_AN_HPA, "stream": BY_AN_HPA},
    "all canaries": ALL_CANARIES,
    "a gateway": GATEWAY,
    "a gateway without the operator": {**GATEWAY, **BY_HAND},
    "a plain route": {"route": {"type": "httproute", "gateway": {"name": "edge"}, "hostnames": ["a.example"]}},
    "an ingress": {
        "route": {
            "type": "ingress", "hostnames": ["a.example", "b.example"],
            "ingress": {"className": "x", "annotations": {"a/b": "c"}, "tls": [{"secretName": "t"}]},
        }
    },
    "an ingress without a host": {"route": {"type": "ingress"}},
    "watched": {
        "metrics": {
            name: {"enabled": True} for name in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards")
        }
    },
    "no network policies": {"networkPolicy": {"enabled": False}},
    "known peers only": {
        "networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "prometheus": []},
        "operator": {"apiServerCIDRs": ["10.96.0.1/32"]},
    },
    "no demo": {"demo": {"enabled": False}, "simulate": {"enabled": False}},
    "all secrets given": {
        "adminToken": {"existingSecret": "token"}, "masterKey": {"existingSecret": "master"},
        "demo": {"existingSecret": "keys"}, **STORES_ELSEWHERE,
    },
    "every placement": {
        "global": {"imageRegistry": "registry.example/x", "imagePullSecrets": ["pull"]},
        "api": {
            "args": ["--port", "8080"], "env": {"OUTCRY_LIMITS": "binance", "OUTCRY_JOURNAL_MAX_BYTES": 4294967296},
            "envFrom": [{"configMapRef": {"name": "more"}}], "featureFlags": {"klines": False},
            "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
            "affinity": {"nodeAffinity": {}}, "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"},
            "extraVolumes": [{"name": "x", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ],
            "service": {"type": "NodePort", "nodePort": 30080}, "serviceAccount": {"create": False, "name": "mine"},
            "probes": {"startup": None},
        },
    },
    "no guards": {
        "engine": {"scaleInGuard": False}, "operator": {"crds": {"upgrade": False}},
        **{role: {"pdb": {"enabled": False}} for role in ("api", "stream")},
    },
    "more objects": {"extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]},
}  # fmt: skip
