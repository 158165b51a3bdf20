"""What one partition's commands mean to others: answers, market data, private events, until they are taken."""

from collections.abc import Callable, Iterator, Sequence

from outcry.facts import Execution, MarketUpdate, Outcome, Publication, Span
from outcry.market.commands import AnyCommand
from outcry.market.events import AnyEvent, InstrumentChanged
from outcry.market.order import Order
from outcry.market.pit import Pit
from outcry.roles.engine.blotter import Blotter
from outcry.roles.engine.outcomes import Place, answered, belated, refused, spoken
from outcry.roles.engine.window import Overtaker

Follows = Callable[[int], bool]


def nobody(account_id: int) -> bool:
    """Follows no account."""
    return False


class News:
    """Collects a partition's publication; private events only of accounts that somebody ``follows``."""

    def __init__(self, place: Place, pit: Pit, blotter: Blotter, follows: Follows) -> None:
        self._place = place
        self._pit = pit
        self._blotter = blotter
        self.follows = follows
        self._told_seq = blotter.event_seq  # of the partition's events, those up to here were taken
        self._shown = {symbol_id: self._counters(symbol_id) for symbol_id in pit.markets}
        self._clear()

    def tell(self, command: AnyCommand | None, events: Sequence[AnyEvent], touched: Sequence[Order]) -> None:
        """Takes note of what a command caused; None is the work of no command."""
        if command is not None and command.command_id:
            self._outcomes.append(answered(command, self._place, events, touched=touched, rows=self._blotter))
        if self.follows is not nobody:
            self._executions += spoken(self._place, events, self._blotter, self._hears)
        for event in events:
            if type(event) is InstrumentChanged:
                self._statuses[event.symbol_id] = event.status

    def refuse(self, command: AnyCommand, code: int, text: str) -> None:
        """Answers a command that is not given to the market."""
        if command.command_id:
            self._outcomes.append(refused(command, self._place, code, text))

    def tell_belated(self, cancel: Overtaker) -> None:
        """Answers a cancel that has waited for the orders it overtook."""
        self._outcomes.append(belated(cancel, self._place))

    def take(self) -> Publication:
        """All since the last take. The blotter must still hold the page it belongs to."""
        news = Publication(
            outcomes=tuple(self._outcomes),
            updates=tuple(self._updates()),
            executions=tuple(self._executions),
            moved=tuple(account for account in self._blotter.moved if self._hears(account)),
            spans=tuple(self._spans()),
        )
        self._clear()
        return news

    def snapshots(self) -> list[MarketUpdate]:
        """Every market's whole book, for listeners that know nothing yet."""
        return [self._update(symbol_id, snapshot=True) for symbol_id in self._pit.markets]

    def _clear(self) -> None:
        self._outcomes: list[Outcome] = []
        self._executions: list[Execution] = []
        self._told: dict[int, None] = {}  # accounts whose events are built
        self._untold: dict[int, None] = {}  # and those whose are not, even if somebody begins to follow in between
        self._statuses: dict[int, int] = {}  # of the markets whose terms changed

    def _counters(self, symbol_id: int) -> tuple[int, int]:
        market = self._pit.markets[symbol_id]
        return market.public_seq, market.update_id

    def _hears(self, account_id: int) -> bool:
        """Whether to build an account's events, all of a batch or none: it has some, which is noted either way."""
        if account_id in self._told:
            return True
        if account_id in self._untold:
            return False
        followed = self.follows(account_id)
        (self._told if followed else self._untold)[account_id] = None
        return followed

    def _spans(self) -> Iterator[Span]:
        after, self._told_seq = self._told_seq, self._blotter.event_seq
        if self._told_seq > after:
            yield Span(self._place.part, after, self._told_seq, tuple(self._told), tuple(self._untold))

    def _updates(self) -> Iterator[MarketUpdate]:
        for symbol_id in self._blotter.symbol_ids():
            shown = self._shown.get(symbol_id)
            if shown is None:
                yield self._update(symbol_id, snapshot=True)
            elif shown != self._counters(symbol_id) or symbol_id in self._blotter.traded:
                yield self._update(symbol_id, snapshot=False)

    def _update(self, symbol_id: int, *, snapshot: bool) -> MarketUpdate:
        market = self._pit.markets[symbol_id]
        seq, update_id = self._shown.get(symbol_id, (0, 0))
        self._shown[symbol_id] = self._counters(symbol_id)
        changes = market.take_levels()
        return MarketUpdate(
            symbol_id=symbol_id, part=self._place.part, epoch=self._place.epoch,
            first_seq=seq + 1, last_seq=market.public_seq, first_u=update_id + 1, last_u=market.update_id,
            time_ms=self._place.log_time, levels=tuple(market.levels() if snapshot else changes),
            trades=tuple(self._blotter.traded.get(symbol_id, ())), snapshot=snapshot,
            status=self._statuses.get(symbol_id, 0),
        )  # fmt: skip
