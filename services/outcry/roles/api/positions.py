"""Every account's positions, folded from its fills, deleted ones included; only new fills are read again."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from outcry.market.instrument import Instrument
from outcry.market.portfolio import Position, count_trade
from outcry.ports import QueryLedger
from outcry.roles.api.errors import overloaded
from outcry.rows import TradeRow

MAX_KEPT: Final = 20_000  # positions kept; the least recently asked for is folded anew when it is asked for again
PAGE_FILLS: Final = 1_000
MAX_PAGES: Final = 50  # pages read for one answer; beyond it is 503, and the next request goes on from there


class _Folded:
    """A position and the trade id from which fills are not yet in it."""

    __slots__ = ("next_id", "position")

    def __init__(self) -> None:
        self.position = Position()
        self.next_id = 0


class Positions:
    """Positions by account and symbol."""

    def __init__(self, ledger: QueryLedger) -> None:
        self._ledger = ledger
        self._kept: OrderedDict[tuple[int, int], _Folded] = OrderedDict()

    async def of(self, account_id: int, instruments: Sequence[Instrument]) -> list[tuple[Instrument, Position]]:
        """The account's position in each symbol that it ever traded. Raises Refusal -1008 when that takes too long."""
        found = []
        pages = MAX_PAGES
        for instrument in instruments:
            folded = self._folded(account_id, instrument.symbol_id)
            while await self._advance(folded, account_id, instrument):
                pages -= 1
                if not pages:
                    raise overloaded()
            if folded.position.fills:
                found.append((instrument, folded.position))
        return found

    async def _advance(self, folded: _Folded, account_id: int, instrument: Instrument) -> bool:
        """Counts one page of fills; whether there may be more."""
        asked = folded.next_id
        opening, page = await self._ledger.carried_fills(
            account_id, instrument.symbol_id, from_id=asked, limit=PAGE_FILLS
        )
        if folded.next_id != asked:
            return True  # another request counted them meanwhile
        if opening is not None and opening.next_trade > asked:  # fills that were not counted here yet are deleted
            folded.position, folded.next_id = Position.of(opening), opening.next_trade
        self._count(folded, page, account_id, instrument)
        return len(page) >= PAGE_FILLS

    def _count(self, folded: _Folded, page: Sequence[TradeRow], account_id: int, instrument: Instrument) -> None:
        for trade in page:
            if trade.trade_id >= folded.next_id:
                count_trade(folded.position, trade, account_id, instrument)
                folded.next_id = trade.trade_id + 1

    def _folded(self, account_id: int, symbol_id: int) -> _Folded:
        key = (account_id, symbol_id)
        folded = self._kept.get(key)
        if folded is None:
            folded = self._kept[key] = _Folded()
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return folded
