"""Where Kafka is, and how kafka-python is set up here; its defaults that lose or repeat records are named and cured."""

from dataclasses import dataclass, field
from typing import Any, Final

REQUEST_MS: Final = 4_000  # for one request; must be less than the delivery timeout
DELIVERY_MS: Final = 7_000  # for a record to be acknowledged before the producer gives it up
MAX_REQUEST_BYTES: Final = 1 << 20
METADATA_SECONDS: Final = 5.0  # for a new client to learn of the topic
FETCH_MS: Final = 100  # how long a broker keeps a reader waiting for news


@dataclass(frozen=True, kw_only=True)
class Brokers:
    """Where Kafka is and how it is spoken to. ``protocol`` and ``mechanism`` are Kafka's own words, in any case."""

    servers: str  # host:port,host:port
    protocol: str = "plaintext"
    ca_file: str = ""  # who vouches for the brokers' certificates; empty: the system's list
    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def has_login(self) -> bool:
        """Whether the brokers want to know who comes."""
        return self.protocol.lower().startswith("sasl")

    def for_kafka_python(self) -> dict[str, Any]:
        """The arguments of every client of kafka-python."""
        given: dict[str, Any] = {
            "bootstrap_servers": self.servers.split(","), "security_protocol": self.protocol.upper(),
            "ssl_cafile": self.ca_file or None,
        }  # fmt: skip
        if self.has_login:
            given |= {
                "sasl_mechanism": self.mechanism.upper(), "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }  # fmt: skip
        return given

    def for_librdkafka(self) -> dict[str, Any]:
        """The properties of every client of librdkafka."""
        given = {"bootstrap.servers": self.servers, "security.protocol": self.protocol.lower()}
        if self.ca_file:
            given["ssl.ca.location"] = self.ca_file
        if self.has_login:
            given |= {
                "sasl.mechanism": self.mechanism.upper(), "sasl.username": self.username,
                "sasl.password": self.password,
            }  # fmt: skip
        return given


COMMON: Final[dict[str, Any]] = {
    "request_timeout_ms": REQUEST_MS,
    "reconnect_backoff_ms": 50,
    "reconnect_backoff_max_ms": 500,  # 30 s by default: frames would expire after a broker's restart
    "bootstrap_timeout_ms": REQUEST_MS,
    "metadata_max_age_ms": 60_000,
}

PRODUCER: Final[dict[str, Any]] = {
    **COMMON,
    "metrics_enabled": False,
    "acks": "all",
    "enable_idempotence": True,
    "delivery_timeout_ms": DELIVERY_MS,
    "linger_ms": 0,  # frames were packed with a linger of their own
    "batch_size": 1 << 18,
    "max_request_size": MAX_REQUEST_BYTES,
    "max_block_ms": 100,  # a minute by default, and on the event loop
    "allow_auto_create_topics": False,
}

CONSUMER: Final[dict[str, Any]] = {
    **COMMON,
    "metrics_enabled": False,
    "group_id": None,
    "auto_offset_reset": "none",  # the default jumps to the end in silence after a truncation
    "enable_auto_commit": False,
    "allow_auto_create_topics": False,
    "fetch_max_wait_ms": FETCH_MS,
    "max_partition_fetch_bytes": 4 << 20,
    "check_crcs": True,
}

ADMIN: Final[dict[str, Any]] = dict(COMMON)
