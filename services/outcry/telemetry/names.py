"""Every metric: its name, type, labels and meaning. docs/metrics.md shows this table, and a test holds it to it."""

import re
from typing import Final, NamedTuple

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"

# Who tells a metric.
ALL: Final = "all"  # every process
EMBEDDED: Final = "embedded"  # the embedded exchange and the processes of a cluster that have the role
CLUSTER: Final = "cluster"  # what only Kafka, PostgreSQL and Redis have

# The stages of an order, in their order.
STAGES: Final = ("admit", "hold", "journal", "match", "commit", "publish", "answer")

# Why a partition is halted.
REASONS: Final = ("intake", "command", "batch", "state", "journal", "operator", "other")


class Metric(NamedTuple):
    """``name`` is as Prometheus shows it: a counter ends in ``_total``; durations are seconds."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()
    where: str = EMBEDDED


BUILD: Final = Metric("outcry_build_info", GAUGE, "1; the labels say which release this process is", ("version",), ALL)
ERRORS: Final = Metric("outcry_errors_total", COUNTER, "Unexpected exceptions that ended a role's run", ("role",), ALL)
MEMORY: Final = Metric("outcry_memory_bytes", GAUGE, "Resident memory", (), ALL)
LOOP_LAG: Final = Metric(
    "outcry_event_loop_lag_seconds", HISTOGRAM, "How late the event loop runs what is due", (), ALL
)
GC_PAUSE: Final = Metric("outcry_gc_pause_seconds", HISTOGRAM, "Pauses of the garbage collector", ("generation",), ALL)

HTTP_REQUESTS: Final = Metric(
    "outcry_http_requests_total", COUNTER, "REST requests answered", ("method", "route", "status")
)
HTTP_SECONDS: Final = Metric(
    "outcry_http_request_seconds", HISTOGRAM, "From a request's head to the end of its answer", ("route",)
)
SOCKETS: Final = Metric("outcry_websocket_clients", GAUGE, "Open WebSocket connections", ("kind",))
SOCKET_REQUESTS: Final = Metric(
    "outcry_websocket_requests_total", COUNTER, "Requests answered over the WebSocket API", ("method", "status")
)
SLOW_CLOSED: Final = Metric("outcry_websocket_slow_closed_total", COUNTER, "WebSocket clients closed for being slow")
BUFFERED: Final = Metric("outcry_stream_buffered_bytes", GAUGE, "Unsent bytes of all clients of streams")
DELIVERIES: Final = Metric("outcry_stream_deliveries_total", COUNTER, "Public stream messages given to clients")

ORDERS: Final = Metric("outcry_orders_total", COUNTER, "Order commands that got an outcome")
ORDER_SECONDS: Final = Metric(
    "outcry_order_seconds", HISTOGRAM, "From an order command's arrival at the desk to its outcome, to 1 part in 16"
)
UNKNOWN: Final = Metric(
    "outcry_orders_unknown_total", COUNTER, "Order commands answered with an unknown outcome (-1007)"
)
STAGE_SECONDS: Final = Metric(
    "outcry_order_stage_seconds", HISTOGRAM,
    "Seconds that orders spend in a stage; match, commit and publish count frames, the others order commands",
    ("stage",),
)  # fmt: skip
UNACKED: Final = Metric("outcry_desk_unacknowledged_orders", GAUGE, "Order commands taken in without an answer yet")
WINDOW: Final = Metric("outcry_desk_window_orders", GAUGE, "How many may be, before new ones are refused")
MICRO_BATCH: Final = Metric("outcry_desk_micro_batch_orders", HISTOGRAM, "Order commands of one micro-batch")

LAG_RECORDS: Final = Metric(
    "outcry_engine_lag_records", GAUGE, "Journal records that no commit has reached", ("partition",)
)
LAG_SECONDS: Final = Metric(
    "outcry_engine_lag_seconds", GAUGE, "Age of the oldest record that no commit has reached", ("partition",)
)
OWNED: Final = Metric("outcry_engine_owned_partitions", GAUGE, "Partitions that this engine owns")
HALTED: Final = Metric("outcry_engine_halted_partitions", GAUGE, "Partitions in HALT; should be 0")
HALT: Final = Metric(
    "outcry_engine_partition_halted", GAUGE,
    "1 for each partition in HALT; the reason's kind is one of " + ", ".join(REASONS), ("partition", "reason"),
)  # fmt: skip
STALLED: Final = Metric("outcry_engine_stalled", GAUGE, "1 while records wait and no offset moves")
COMMANDS: Final = Metric("outcry_engine_commands_total", COUNTER, "Commands whose outcome was committed")
COMMIT_SECONDS: Final = Metric("outcry_engine_commit_seconds", HISTOGRAM, "One commit of all partitions with work")
FRAME_SECONDS: Final = Metric(
    "outcry_engine_frame_seconds", HISTOGRAM, "From a frame's time in the journal to its commit, by the engine's clock"
)
COMMIT_ROWS: Final = Metric("outcry_engine_commit_rows", HISTOGRAM, "Rows of one commit")
CAS_REFUSALS: Final = Metric(
    "outcry_engine_cas_refusals_total", COUNTER, "Partitions left out of a commit, as another engine owns them"
)
COMMIT_TROUBLE: Final = Metric(
    "outcry_engine_commit_failures_total", COUNTER, "Commits that failed or whose end is unknown", ("trouble",)
)
TAKEOVERS: Final = Metric("outcry_engine_takeovers_total", COUNTER, "Partitions taken over")
OPENING_SECONDS: Final = Metric(
    "outcry_engine_opening_seconds", HISTOGRAM, "From the takeover of a partition to the first read of its log"
)
HANDOVERS: Final = Metric("outcry_engine_handovers_total", COUNTER, "Partitions handed over to another engine")
HANDOVER_SECONDS: Final = Metric(
    "outcry_engine_handover_seconds",
    HISTOGRAM,
    "From the last read of a partition to its hand-over",
)
DEAD_LETTERS: Final = Metric("outcry_engine_dead_letters_total", COUNTER, "Records or commands that cannot be read")
LATE: Final = Metric(
    "outcry_engine_late_orders_total", COUNTER, "Orders ignored for being past their bound", ("partition",)
)
REPEATED: Final = Metric(
    "outcry_engine_repeated_orders_total", COUNTER, "Orders ignored for having had their effect", ("partition",)
)
TRADES: Final = Metric("outcry_trades_total", COUNTER, "Trades committed", ("symbol",))
FOLDED: Final = Metric("outcry_keeper_folded_postings_total", COUNTER, "Postings summed into balances")
VOIDED: Final = Metric("outcry_keeper_voided_orders_total", COUNTER, "Orders voided: their bound passed unmatched")
WISHES: Final = Metric("outcry_simulation_requests_total", COUNTER, "Requests of the simulated crowd", ("result",))
TRACES: Final = Metric("outcry_traces_total", COUNTER, "Traces begun")

FEED_DOWN: Final = Metric("outcry_feed_down", GAUGE, "1 while the engine goes on without Redis", (), CLUSTER)
FEED_BEHIND: Final = Metric(
    "outcry_feed_behind_symbols", GAUGE, "Symbols whose feed in Redis is behind the ledger", (), CLUSTER
)
REPUBLISHED: Final = Metric(
    "outcry_feed_republished_total", COUNTER, "Updates of symbols sent after trouble with Redis", (), CLUSTER
)
BREAKER: Final = Metric(
    "outcry_breaker_open", GAUGE, "1 while a component failed again and again and rests", ("component",), CLUSTER
)
BREAKER_OPENED: Final = Metric(
    "outcry_breaker_opened_total", COUNTER, "How often a component's breaker opened", ("component",), CLUSTER
)
POOL: Final = Metric(
    "outcry_ledger_pool_connections", GAUGE, "PostgreSQL connections of this process's pool", ("state",), CLUSTER
)
POOL_LIMIT: Final = Metric("outcry_ledger_pool_limit", GAUGE, "How many it may have", (), CLUSTER)
PRODUCER_REPLACED: Final = Metric(
    "outcry_journal_producers_replaced_total", COUNTER, "Kafka producers given up and replaced", (), CLUSTER
)
CLOCKS: Final = Metric(
    "outcry_log_time_ahead_seconds", GAUGE, "Log time before the database's clock, as an api sees it", ("partition",),
    CLUSTER,
)  # fmt: skip
PRODUCER_UNACKED: Final = Metric(
    "outcry_journal_unacknowledged_frames", GAUGE, "Frames sent to Kafka and not acknowledged yet", (), CLUSTER
)

METRICS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
# What prometheus_client tells of the process and of Python.
FOREIGN: Final = (
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
    "process_start_time_seconds", "process_open_fds", "process_max_fds",
    "python_gc_collections_total", "python_gc_objects_collected_total", "python_gc_objects_uncollectable_total",
    "python_info",
)  # fmt: skip


_TEXTS: Final = (
    ("intake", re.compile("intake_missing")),
    ("batch", re.compile("before record")),
    ("state", re.compile("the stored state|the open orders")),
    ("journal", re.compile(r"the journal|record \d+ (of the journal|is missing|is not in the log)|topic")),
    ("operator", re.compile("halted by")),
    ("command", re.compile(r"record \d+: ")),
)


def kind_of_halt(reason: str) -> str:
    """Which of REASONS the text of a halt is."""
    return next((kind for kind, begins in _TEXTS if begins.match(reason)), "other")
