"""The environment, read once at start; every problem is reported at once."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

LIMIT_SETS = ("binance", "high", "off")
DEMO_SYMBOLS = ("BTCUSD", "ETHUSD", "ADAUSD", "DOTUSD", "SOLUSD", "LINKUSD", "AVAXUSD", "MATICUSD")
MAX_PARTITIONS = 64
KAFKA_CLIENTS = ("kafka-python", "confluent")
KAFKA_PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
KAFKA_MECHANISMS = ("plain", "scram-sha-256", "scram-sha-512")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SettingsError(Exception):
    """The environment is wrong; the message lists every problem."""


def _setting(default: Any, name: str, read: "Reader", about: str) -> Any:
    return field(default=default, metadata={"name": name, "read": read, "about": about})


@dataclass(frozen=True)
class Reader:
    """How one variable's text becomes a value; ``rule`` says in words what is allowed."""

    read: Callable[[str], Any]
    rule: str


def whole(low: int, high: int) -> Reader:
    """A whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Reader(read, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Reader:
    """A decimal number from ``low`` to ``high``; NaN is none."""

    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Reader(read, f"a number from {low:g} to {high:g}")


def one_of(*allowed: str) -> Reader:
    """One of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(text)
        return text.lower()

    return Reader(read, "one of " + ", ".join(allowed))


def _switch(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    if any(word not in DEMO_SYMBOLS for word in words):
        raise ValueError(text)
    return words


SWITCH = Reader(_switch, "true or false")
TEXT = Reader(str, "a text")
REQUIRED = "<required>"
FILE = "_FILE"
SYMBOLS = Reader(_words, "a comma-separated choice of " + ",".join(DEMO_SYMBOLS))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default, variable and rule. Durations say their unit."""

    data_dir: str = _setting("data", "OUTCRY_DATA_DIR", TEXT, "where everything is kept")
    host: str = _setting(
        "127.0.0.1", "OUTCRY_HOST", TEXT, "the address to listen on; the demo keys work on loopback only"
    )
    port: int = _setting(8080, "OUTCRY_PORT", whole(0, 65535), "the port to listen on; 0 is any free one")
    limits: str = _setting(
        "high", "OUTCRY_LIMITS", one_of(*LIMIT_SETS), "rate limits: those of Binance, very high ones, or none"
    )
    partitions: int = _setting(
        4, "OUTCRY_PARTITIONS", whole(1, MAX_PARTITIONS), "logs among which the symbols are spread"
    )
    log_level: str = _setting(
        "info", "OUTCRY_LOG_LEVEL", one_of("debug", "info", "warning", "error"), "how much is logged"
    )
    log_format: str = _setting(
        "text", "OUTCRY_LOG_FORMAT", one_of("text", "json"), "log lines for people, or one JSON object a line"
    )
    otlp_endpoint: str = _setting(
        "",
        "OUTCRY_OTLP_ENDPOINT",
        TEXT,
        "where traces are sent, as http://host:4318 (OTLP over HTTP); empty: no traces",
    )
    trace_sample: float = _setting(
        0.01, "OUTCRY_TRACE_SAMPLE", number(0, 1), "share of the orders that are traced without their callers' asking"
    )
    simulation_enabled: bool = _setting(
        True, "SIMULATION_ENABLED", SWITCH, "whether a simulated crowd trades, and the past has candles"
    )
    simulation_orders_per_sec: float = _setting(
        20.0, "SIMULATION_ORDERS_PER_SEC", number(0.01, 20_000), "the crowd's requests per second, over all symbols"
    )
    simulation_workers: int = _setting(4, "SIMULATION_WORKERS", whole(1, 256), "tasks that share this rate")
    simulation_symbols: tuple[str, ...] = _setting(
        (), "SIMULATION_SYMBOLS", SYMBOLS, "what the crowd trades; empty: all"
    )
    simulation_seed: int = _setting(
        1, "SIMULATION_SEED", whole(0, (1 << 63) - 1), "seed of the crowd and of the candles of the past"
    )
    simulation_history_hours: int = _setting(
        72, "SIMULATION_HISTORY_HOURS", whole(0, 720), "hours of 1-minute candles of the past; 0: no past at all"
    )
    journal_retention_days: int = _setting(
        7, "OUTCRY_JOURNAL_RETENTION_DAYS", whole(1, 3650), "days that journal, trades and closed orders are kept"
    )
    journal_max_bytes: int = _setting(
        4 << 30, "OUTCRY_JOURNAL_MAX_BYTES", whole(1 << 20, 1 << 50), "bytes of journal that are kept"
    )
    admit_window: int = _setting(
        4096, "OUTCRY_ADMIT_WINDOW", whole(1, 1 << 20), "orders that may be under way before new ones are refused"
    )
    micro_batch_ms: float = _setting(
        1.0, "OUTCRY_MICRO_BATCH_MS", number(0, 50), "how long requests in a crowd wait at least to share a commit"
    )
    reply_timeout_seconds: float = _setting(
        9.0, "OUTCRY_REPLY_TIMEOUT_SECONDS", number(0.1, 60), "after which an order's outcome is told as unknown"
    )
    metrics_window_seconds: int = _setting(
        60, "METRICS_COLLECTION_TIME", whole(1, 3600), "seconds over which /api/metrics averages"
    )
    metrics_retention_seconds: int = _setting(
        3600, "METRICS_RETENTION_TIME", whole(60, 86_400), "seconds that /api/metrics?series remembers"
    )
    master_key_file: str = _setting(
        "", "OUTCRY_MASTER_KEY_FILE", TEXT, "the key that seals API secrets; empty: master.key in the data directory"
    )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the exchange: the condition for the documented demo keys."""
        return self.host in LOOPBACK


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Settings):
    """What a process of a cluster needs besides: where Kafka, PostgreSQL and Redis are, and who it is itself."""

    kafka: str = _setting(REQUIRED, "OUTCRY_KAFKA", TEXT, "Kafka's bootstrap servers, as host:port,host:port")
    kafka_client: str = _setting(
        "kafka-python", "OUTCRY_KAFKA_CLIENT", one_of(*KAFKA_CLIENTS), "the client library that talks to Kafka"
    )
    kafka_security: str = _setting(
        "plaintext", "OUTCRY_KAFKA_SECURITY_PROTOCOL", one_of(*KAFKA_PROTOCOLS), "how Kafka's clients connect"
    )
    kafka_ca_file: str = _setting(
        "", "OUTCRY_KAFKA_SSL_CA_FILE", TEXT, "who vouches for the brokers' certificates; empty: the system's list"
    )
    kafka_mechanism: str = _setting(
        "scram-sha-512", "OUTCRY_KAFKA_SASL_MECHANISM", one_of(*KAFKA_MECHANISMS), "how they show who they are"
    )
    kafka_username: str = _setting("", "OUTCRY_KAFKA_SASL_USERNAME", TEXT, "who they are")
    kafka_password: str = _setting("", "OUTCRY_KAFKA_SASL_PASSWORD", TEXT, "the password of that user")
    postgres: str = _setting(REQUIRED, "OUTCRY_POSTGRES", TEXT, "PostgreSQL, as postgresql://user@host:port/database")
    redis_fanout: str = _setting(
        REQUIRED, "OUTCRY_REDIS_FANOUT", TEXT, "the Redis that carries market data and answers"
    )
    redis_state: str = _setting(REQUIRED, "OUTCRY_REDIS_STATE", TEXT, "the Redis that keeps rate limits and sessions")
    topic: str = _setting("orders", "OUTCRY_TOPIC", TEXT, "the Kafka topic of the journal")
    replication: int = _setting(1, "OUTCRY_REPLICATION", whole(1, 9), "copies of the topic, where setup creates it")
    redis_prefix: str = _setting("", "OUTCRY_REDIS_PREFIX", TEXT, "what the names of all keys in Redis begin with")
    pod: str = _setting(
        "", "OUTCRY_POD", TEXT, "this process's name, unique in the cluster; empty: host name and process id"
    )
    pod_uid: str = _setting("", "OUTCRY_POD_UID", TEXT, "what Kubernetes calls this very pod, for the admin port")
    track: str = _setting("stable", "OUTCRY_TRACK", one_of("stable", "canary"), "which track of a release this pod is")
    revision: str = _setting("", "OUTCRY_REVISION", TEXT, "the revision of this pod's release, for the admin port")
    lease_seconds: float = _setting(
        6.0, "OUTCRY_LEASE_SECONDS", number(0.5, 60), "how long a silent engine keeps its partitions"
    )
    claim: str = _setting(
        "share",
        "OUTCRY_CLAIM",
        one_of("share", "reserved"),
        "which partitions an engine takes: its share, or only those reserved for it",
    )
    admin_host: str = _setting("127.0.0.1", "OUTCRY_ADMIN_HOST", TEXT, "the address of the admin port")
    admin_port: int = _setting(
        9100, "OUTCRY_ADMIN_PORT", whole(0, 65535), "the port of status, drains, probes and metrics; 0 is any free one"
    )
    admin_token_file: str = _setting(
        "", "OUTCRY_ADMIN_TOKEN_FILE", TEXT, "holds the bearer token of writes to the admin port; empty: none are taken"
    )
    demo: bool = _setting(
        False, "OUTCRY_DEMO", SWITCH, "whether setup founds the demo venue: symbols, funded accounts, the past"
    )
    keys_file: str = _setting(
        "", "OUTCRY_KEYS_FILE", TEXT, "where setup writes the API keys it issues, and `simulate` reads its own"
    )
    flags_dir: str = _setting(
        "", "OUTCRY_FLAGS_DIR", TEXT, "a folder with a file per feature that says true or false; empty: all are on"
    )
    goodbye_seconds: float = _setting(
        30.0, "OUTCRY_GOODBYE_SECONDS", number(0, 600), "over which a stream process that ends closes its clients"
    )
    exchange_url: str = _setting(
        "http://127.0.0.1:8080", "OUTCRY_URL", TEXT, "the api that `simulate` and `--url` talk to"
    )

    stream_url: str = _setting(
        "ws://127.0.0.1:8080", "OUTCRY_STREAM_URL", TEXT, "the market streams that `simulate` follows"
    )

    @property
    def loopback(self) -> bool:
        """A cluster never has the documented demo keys, wherever it listens."""
        return False


@dataclass(frozen=True, kw_only=True)
class ClientSettings(ClusterSettings):
    """Those of a process that knows the exchange from outside alone: it needs none of its stores."""

    kafka: str = _setting("", "OUTCRY_KAFKA", TEXT, "not used")
    postgres: str = _setting("", "OUTCRY_POSTGRES", TEXT, "not used")
    redis_fanout: str = _setting("", "OUTCRY_REDIS_FANOUT", TEXT, "not used")
    redis_state: str = _setting("", "OUTCRY_REDIS_STATE", TEXT, "not used")


# The variables that name a file with a text: what is a file's name itself needs none.
FILES = frozenset(
    each.metadata["name"] + FILE
    for each in fields(ClusterSettings)
    if each.metadata["read"] is TEXT and not each.metadata["name"].endswith((FILE, "_DIR"))
)

Kind = TypeVar("Kind", bound=Settings)


@overload
def read_settings(environ: Mapping[str, str], **given: Any) -> Settings: ...
@overload
def read_settings(environ: Mapping[str, str], kind: type[Kind], **given: Any) -> Kind: ...
def read_settings(environ: Mapping[str, str], kind: type[Any] = Settings, **given: Any) -> Any:
    """Settings from the environment; what is ``given`` on the command line (not None) wins.

    A text may also stand in a file that ``<NAME>_FILE`` names, as secrets are mounted. Raises SettingsError with
    every problem.
    """
    values: dict[str, Any] = {}
    problems = _misspelt(environ)
    for each in fields(kind):
        name, reader = each.metadata["name"], each.metadata["read"]
        wanted = given.get(each.name)
        try:
            text = _text_of(name, environ) if wanted is None else str(wanted)
        except _Unreadable as why:
            problems.append(str(why))
            continue
        if not text:
            if each.default == REQUIRED:
                problems.append(f"{name} is missing: {each.metadata['about']}")
            continue
        try:
            values[each.name] = reader.read(text)
        except ValueError:
            problems.append(f"{name if wanted is None else '--' + each.name} is {text!r}, but must be {reader.rule}")
    if problems:
        raise SettingsError("These settings are wrong:\n" + "\n".join(f"  - {problem}." for problem in problems))
    return kind(**values)


class _Unreadable(Exception):
    """The file that a variable names gives no text."""


def _text_of(name: str, environ: Mapping[str, str]) -> str:
    """What a variable says, or the file that it may be in instead. Raises _Unreadable."""
    text, by_file = environ.get(name, "").strip(), name + FILE
    path = environ.get(by_file, "").strip() if by_file in FILES else ""
    if not path:
        return text
    if text:
        raise _Unreadable(f"{name} and {by_file} are both set, but only one of them may be")
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as trouble:
        raise _Unreadable(f"{by_file} is {path!r}, which cannot be read: {trouble}") from None
    if not found:
        raise _Unreadable(f"{by_file} is {path!r}, which is empty")
    return found


def settings_of(environ: Mapping[str, str], data_dir: str | None) -> Settings:
    """Those of the cluster that the environment names, unless a data directory is given. Raises SettingsError."""
    names = ("OUTCRY_POSTGRES", "OUTCRY_POSTGRES" + FILE)
    if data_dir is None and any(environ.get(name, "").strip() for name in names):
        return read_settings(environ, ClusterSettings)
    return read_settings(environ, data_dir=data_dir)


class Described(NamedTuple):
    """One variable in words."""

    name: str
    about: str
    rule: str
    default: str


def described(kind: type[Settings] = Settings) -> list[Described]:
    """Every variable, in the order of the settings; of a cluster's only those that the embedded exchange has not."""
    known = {each.name for each in fields(Settings)} if kind is not Settings else set()
    return [
        Described(f.metadata["name"], f.metadata["about"], f.metadata["read"].rule, _shown(f.default))
        for f in fields(kind)
        if f.name not in known
    ]


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    known = [*(each.metadata["name"] for each in fields(ClusterSettings)), *FILES]
    problems = []
    for name in sorted(environ):
        if name in known or not name.startswith(("OUTCRY_", "SIMULATION_")):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.87)
        if close:
            problems.append(f"{name} is no setting; did you mean {close[0]}")
    return problems


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(default) if isinstance(default, tuple) else str(default)
