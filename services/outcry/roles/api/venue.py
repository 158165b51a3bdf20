"""What every endpoint sees of the exchange: instruments, ledger, feed, clock, order desk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from outcry.market.instrument import Instrument
from outcry.ports import Clock, Ledger, Listener, Shared
from outcry.roles.api.desk import Desk
from outcry.roles.api.features import Features
from outcry.roles.api.positions import Positions
from outcry.roles.api.tickerstats import TickerStatistics
from outcry.settings import Settings
from outcry.telemetry import Telemetry


class Operator(Protocol):
    """Who carries an operator's verbs out (roles.admin.verbs)."""

    async def run(self, verb: str, params: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass
class Venue:
    """The api role's shared parts; one per process."""

    settings: Settings
    ledger: Ledger
    feed: Listener
    shared: Shared
    clock: Clock
    order_desk: Desk | None = None  # None in a process that takes no orders
    instruments: dict[str, Instrument] = field(default_factory=dict)  # by symbol, refreshed by the role
    instruments_by_id: dict[int, Instrument] = field(default_factory=dict)
    assets: dict[int, str] = field(default_factory=dict)  # names by id
    last_prices: dict[int, int] = field(default_factory=dict)  # ticks by symbol id; 0 or absent: none yet
    halted: Mapping[int, str] = field(default_factory=dict)  # partitions that wait for a person, and why
    operator: Operator | None = None  # None in a process without an operator's verbs
    features: Features = field(default_factory=Features)
    telemetry: Telemetry = field(default_factory=Telemetry)
    status: dict[str, Any] = field(default_factory=dict)  # component -> {"status","detail"} for health

    async def admin(self, verb: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Carries an operator's verb out. Raises Refused."""
        assert self.operator is not None, "this process has no operator's verbs"
        return await self.operator.run(verb, params)

    def __post_init__(self) -> None:
        self.statistics = TickerStatistics(self.ledger, self.clock)
        self.positions = Positions(self.ledger)

    @property
    def desk(self) -> Desk:
        """Where orders are entered; only processes with one serve the endpoints that ask for it."""
        assert self.order_desk is not None, "this process takes no orders"
        return self.order_desk

    def use(self, instruments: Sequence[Instrument]) -> None:
        """Takes the current terms of every listed symbol."""
        self.instruments = {i.symbol: i for i in instruments}
        self.instruments_by_id = {i.symbol_id: i for i in instruments}
