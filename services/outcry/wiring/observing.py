"""What the metrics ask of the parts of a process whenever they are told."""

from collections.abc import Callable, Iterable, Mapping

from outcry.adapters.redis import RedisPublisher
from outcry.ports import Clock
from outcry.roles.api.desk import Desk
from outcry.roles.api.skew import Skew
from outcry.roles.engine.engine import Engine
from outcry.roles.stream.nativesockets import NativeClient
from outcry.roles.stream.sockets import MarketClient
from outcry.roles.stream.wsapi import WsClient
from outcry.settings import Settings
from outcry.telemetry import Telemetry, names
from outcry.wiring.backbone import Backbone

Client = MarketClient | NativeClient | WsClient


def observe_engine(telemetry: Telemetry, engine: Engine, clock: Clock) -> None:
    """Partitions by their numbers; a halted one with the kind of its reason, whose words are in health and logs."""

    def ages() -> Mapping[tuple[str, ...], float]:
        now_ms = clock.now_ms()
        return {(str(part),): engine.progress.age_ms(part, now_ms) / 1000 for part in engine.sessions}

    def halts() -> Mapping[tuple[str, ...], float]:
        return {(str(part), names.kind_of_halt(reason)): 1 for part, reason in engine.halted.items()}

    source = telemetry.source
    source(names.LAG_RECORDS, lambda: {(str(part),): engine.progress.lag(part) for part in engine.sessions})
    source(names.LAG_SECONDS, ages)
    source(names.OWNED, lambda: len(engine.sessions))
    source(names.HALTED, lambda: len(engine.halted))
    source(names.HALT, halts)
    source(names.STALLED, lambda: engine.stalled)
    source(names.COMMANDS, lambda: engine.commands)
    source(names.LATE, lambda: {(str(part),): each.late for part, each in engine.sessions.items()})
    source(names.REPEATED, lambda: {(str(part),): each.repeated for part, each in engine.sessions.items()})


def observe_desk(telemetry: Telemetry, desk: Desk, settings: Settings) -> None:
    """How full the window of unacknowledged commands is."""
    telemetry.source(names.UNACKED, lambda: desk.unacknowledged)
    telemetry.source(names.WINDOW, lambda: settings.admit_window)


def observe_clocks(telemetry: Telemetry, skew: Skew) -> None:
    """How far the clocks of journal and ledger are apart."""
    telemetry.source(names.CLOCKS, lambda: {(str(part),): ms / 1000 for part, ms in skew.ahead_ms.items()})


def observe_streams(telemetry: Telemetry, clients: Callable[[], Iterable[Client]]) -> None:
    """What the clients of all sockets have not taken yet."""
    telemetry.source(names.BUFFERED, lambda: sum(client.link.waiting_bytes for client in clients()))


def observe_backbone(telemetry: Telemetry, backbone: Backbone) -> None:
    """The connections to PostgreSQL, and what is on its way to Kafka."""

    def pool() -> Mapping[tuple[str, ...], float]:
        used, idle, _ = backbone.store.connections
        return {("used",): used, ("idle",): idle}

    sender = backbone.journal.sender
    telemetry.source(names.POOL, pool)
    telemetry.source(names.POOL_LIMIT, lambda: backbone.store.connections[2])
    telemetry.source(names.PRODUCER_REPLACED, lambda: sender.replaced)
    telemetry.source(names.PRODUCER_UNACKED, lambda: sender.unacknowledged)


def observe_publisher(telemetry: Telemetry, publisher: RedisPublisher) -> None:
    """How far Redis is behind the ledger."""
    telemetry.source(names.FEED_DOWN, lambda: publisher.is_down)
    telemetry.source(names.FEED_BEHIND, lambda: publisher.behind)
    telemetry.source(names.REPUBLISHED, lambda: publisher.sent_again)
