"""Every metric of the operator: its name, type, labels and meaning. docs/operator.md shows this table."""

from typing import Final, NamedTuple

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


class Metric(NamedTuple):
    """``name`` is as Prometheus shows it: a counter ends in ``_total``; durations are seconds."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()


BUILD: Final = Metric("outcry_operator_build_info", GAUGE, "1; the label says which release this is", ("version",))
LEADS: Final = Metric("outcry_operator_leads", GAUGE, "1 while this operator holds the Lease, 0 while it waits")
AGE: Final = Metric("outcry_operator_round_age_seconds", GAUGE, "Since the last finished round over all objects")
TICK: Final = Metric("outcry_operator_tick_seconds", HISTOGRAM, "One look at one object: observe, plan, act", ("kind",))
FAILURES: Final = Metric(
    "outcry_operator_tick_failures_total", COUNTER, "Looks that ended in trouble", ("kind", "name", "reason")
)
REPLICAS: Final = Metric("outcry_operator_replicas", GAUGE, "Pods that carry a policy's load", ("policy",))
DESIRED: Final = Metric("outcry_operator_desired_replicas", GAUGE, "Pods that a policy wants", ("policy",))
VALUE: Final = Metric("outcry_operator_trigger_value", GAUGE, "What a trigger measured", ("policy", "trigger"))
MISSING: Final = Metric(
    "outcry_operator_trigger_missing", GAUGE, "1 while a trigger has no answer", ("policy", "trigger")
)
CONDITION: Final = Metric(
    "outcry_operator_condition", GAUGE, "1 while a condition of a policy is true", ("policy", "condition")
)
CHANGES: Final = Metric(
    "outcry_operator_scale_changes_total", COUNTER, "Changes of a workload's replicas", ("policy", "direction")
)
DRAIN: Final = Metric(
    "outcry_operator_drain_seconds", HISTOGRAM, "From the begin of an engine's drain to its removal", ("policy",)
)
UNOWNED: Final = Metric(
    "outcry_operator_unowned_seconds", GAUGE, "How long the longest unowned partition has had no owner", ("policy",)
)
PHASE: Final = Metric("outcry_operator_canary_phase", GAUGE, "1 for the phase a release is in", ("canary", "phase"))
WEIGHT: Final = Metric(
    "outcry_operator_canary_weight_percent",
    GAUGE,
    "A canary's share: what is asked for and what serves",
    ("canary", "which"),
)
VERDICTS: Final = Metric(
    "outcry_operator_canary_verdicts_total", COUNTER, "Judgements of a canary", ("canary", "metric", "verdict")
)
MOVE: Final = Metric(
    "outcry_operator_move_seconds",
    HISTOGRAM,
    "From the first request to move a partition to its new owner",
    ("canary",),
)

METRICS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
