"""One partition's replay beside the ledger: every row that either has must be the other's too."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from outcry.market.terms import BUY, NOT_A_STOP, SELL, WORKING
from outcry.roles.engine.blotter import MAX_LEGS
from outcry.roles.engine.charts import CandleLedger, Charts
from outcry.roles.engine.fates import Fates
from outcry.roles.engine.replay import Chunk, Replay, ReplayLedger, standing
from outcry.roles.engine.told import ToldLedger
from outcry.rows import (
    Advance,
    AmendmentRow,
    DeadLetter,
    ListRow,
    Money,
    OrderRow,
    PartBatch,
    PostingRow,
    PreventedRow,
    TradeRow,
)

MAX_PROBLEMS: Final = 100  # reported of one partition


class EvidenceLedger(ReplayLedger, CandleLedger, ToldLedger, Protocol):
    """What a verification reads of the ledger."""

    async def trades(self, symbol_id: int, *, from_id: int | None = None, limit: int = 500) -> list[TradeRow]: ...
    async def preventions(self, symbol_id: int, first_id: int, last_id: int) -> list[PreventedRow]: ...
    async def amended(self, part: int, from_offset: int, to_offset: int) -> list[AmendmentRow]: ...
    async def postings(self, part: int, from_offset: int, to_offset: int) -> list[PostingRow]: ...
    async def dead_letters(self, part: int, from_offset: int, to_offset: int) -> list[DeadLetter]: ...
    async def order_list(self, account_id: int, list_id: int | None, client_list_id: str | None) -> ListRow | None: ...
    async def money(self) -> Money: ...


class Comparison:
    """Takes the batches of a replay one after another; ``finish`` compares what is left open."""

    def __init__(self, ledger: EvidenceLedger, replay: Replay) -> None:
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self._ledger = ledger
        self._replay = replay
        self._part = replay.start.row.part
        self._reached = replay.start.row
        self._charts = Charts(ledger, replay.start.candles)
        self._fates = Fates(ledger, replay.start)
        self._open = {row.order_id: row for row in replay.start.orders}
        self._symbols = {row.symbol_id: row for row in replay.start.symbols}
        self._lists = {row.list_id: row for row in replay.start.lists}
        self._next_trade = {row.symbol_id: row.trade_seq + 1 for row in replay.start.symbols}

    async def add(self, chunk: Chunk) -> None:
        """Compares what a chunk made final: trades, postings, preventions, candles, closed orders and lists."""
        batch = chunk.batch
        self._problems(await self._fates.add(chunk.asked, batch.new_orders))
        await self._compare_dead_letters(batch.dead_letters, batch.advance)
        await self._compare_trades(batch.trades)
        await self._compare_postings(batch)
        await self._compare_prevented(batch.prevented)
        await self._compare_amendments(batch.amendments, batch.advance)
        await self._compare_orders([*batch.new_orders, *batch.touched_orders])
        await self._compare_lists(batch.lists)
        for pair in await self._charts.add(batch.candles):
            self._same("candle", *pair)
            self.counts["candles"] += len(pair.replayed)
        self._symbols |= {row.symbol_id: row for row in batch.symbols}
        self._reached = standing(batch.advance, self._replay.end.row)

    async def finish(self) -> None:
        """Compares the open orders, lists, markets and candles, and where the log stands."""
        end = self._replay.end
        ranked = sorted(self._open.values(), key=lambda row: (row.symbol_id, row.priority_seq, row.order_id))
        self._same("open order", ranked, end.orders)
        self._same("open list", sorted(self._lists.values()), sorted(end.lists))
        self._same("market", sorted(self._symbols.values()), sorted(end.symbols))
        self._same("position in the log", [self._reached], [end.row])
        self._check_books(end.orders)
        self.counts["open orders"] += len(ranked)
        for pair in await self._charts.finish(sorted(self._symbols), end.candles):
            self._same("candle", *pair)
            self.counts["candles"] += len(pair.replayed)
        self._problems(await self._fates.finish(self._reached.next_offset))
        self.counts["journaled orders"] += self._fates.asked

    async def _compare_trades(self, trades: Sequence[TradeRow]) -> None:
        by_symbol: dict[int, list[TradeRow]] = defaultdict(list)
        for trade in trades:
            by_symbol[trade.symbol_id].append(trade)
        for symbol_id, own in by_symbol.items():
            stored = await self._ledger.trades(symbol_id, from_id=own[0].trade_id, limit=len(own))
            self._same("trade", own, stored)
            first = self._next_trade.get(symbol_id, 1)
            self._next_trade[symbol_id] = first + len(stored)
            if [trade.trade_id for trade in stored] != list(range(first, first + len(stored))):
                self._problem(f"trade ids of symbol {symbol_id} are not dense from {first} on")
        self.counts["trades"] += len(trades)

    async def _compare_postings(self, batch: PartBatch) -> None:
        advance = batch.advance
        is_last = advance.to_offset == self._replay.end.row.next_offset
        # Triggered stops that go on after the last record leave their rows at the offset that comes next.
        stored = await self._ledger.postings(self._part, advance.from_offset, advance.to_offset + is_last)
        # So may those before the first one: what a checkpoint left to do at its offset it had begun there.
        since, until = ((seq + 1) * MAX_LEGS for seq in (self._reached.event_seq, advance.event_seq))
        stored = [row for row in stored if since <= row.idx < until]
        self._same("posting", batch.postings, stored)
        sums: Counter[tuple[int, int, int]] = Counter()
        for row in stored:
            sums[row.symbol_id, row.trade_id, row.asset_id] += row.free_delta + row.held_delta
        for (symbol_id, trade_id, asset_id), rest in sums.items():
            if rest:
                self._problem(f"trade {trade_id} of symbol {symbol_id} makes {rest} minor units of asset {asset_id}")
        self.counts["postings"] += len(stored)

    async def _compare_dead_letters(self, dead: Sequence[DeadLetter], advance: Advance) -> None:
        """Place and bytes; the reason is in the words of the release that read the record first."""
        stored = await self._ledger.dead_letters(self._part, advance.from_offset, advance.to_offset)
        self._same("dead letter", *([row._replace(reason="") for row in rows] for rows in (dead, stored)))
        self.counts["dead letters"] += len(dead)

    async def _compare_prevented(self, prevented: Sequence[PreventedRow]) -> None:
        by_symbol: dict[int, list[PreventedRow]] = defaultdict(list)
        for row in prevented:
            by_symbol[row.symbol_id].append(row)
        for symbol_id, own in by_symbol.items():
            stored = await self._ledger.preventions(symbol_id, own[0].prevented_id, own[-1].prevented_id)
            self._same("prevented match", own, stored)
        self.counts["prevented matches"] += len(prevented)

    async def _compare_amendments(self, amendments: Sequence[AmendmentRow], advance: Advance) -> None:
        stored = await self._ledger.amended(self._part, advance.from_offset, advance.to_offset)
        self._same("amendment", amendments, stored)
        self.counts["amendments"] += len(amendments)

    async def _compare_orders(self, orders: Sequence[OrderRow]) -> None:
        """A closed order never changes again, so that it can be compared at once."""
        closed = {}
        for row in orders:
            if row.open:
                self._open[row.order_id] = row
            else:
                self._open.pop(row.order_id, None)
                closed[row.order_id] = row
            if row.qty and row.executed + row.prevented > row.qty:
                self._problem(f"order {row.order_id} is filled beyond its quantity")
        stored = await self._ledger.orders_by_id(sorted(closed))
        self._same("order", [closed[order_id] for order_id in sorted(closed)], stored)
        self.counts["closed orders"] += len(closed)

    async def _compare_lists(self, lists: Sequence[ListRow]) -> None:
        for row in lists:
            if row.status == "ALL_DONE":
                self._lists.pop(row.list_id, None)
                stored = await self._ledger.order_list(row.account_id, row.list_id, None)
                self._same("order list", [row], [] if stored is None else [stored])
            else:
                self._lists[row.list_id] = row

    def _check_books(self, orders: Iterable[OrderRow]) -> None:
        best: dict[tuple[int, int], int] = {}
        for row in orders:
            if row.stage in (NOT_A_STOP, WORKING):
                best[row.symbol_id, row.side] = max(
                    best.get((row.symbol_id, row.side), -(1 << 62)), row.side * row.price
                )
        for (symbol_id, side), price in best.items():
            if side == BUY and (symbol_id, SELL) in best and price >= -best[symbol_id, SELL]:
                self._problem(f"the book of symbol {symbol_id} is crossed")

    def _same(self, kind: str, replayed: Sequence[tuple[Any, ...]], stored: Sequence[tuple[Any, ...]]) -> None:
        if list(replayed) == list(stored):
            return
        for one, other in zip(replayed, stored, strict=False):
            if one != other:
                article = "an" if kind[0] in "aeiou" else "a"
                self._problem(f"{article} {kind} differs: {_difference(one, other)}")
                break
        if len(replayed) != len(stored):
            self._problem(f"the log gives {len(replayed)} {kind} rows where the ledger has {len(stored)}")

    def _problems(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._problem(text)

    def _problem(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"partition {self._part}: {text}")


def _difference(replayed: tuple[Any, ...], stored: tuple[Any, ...]) -> str:
    """Names the row by its first three columns, and the columns that differ."""
    names = getattr(replayed, "_fields", ())
    parts = [
        f"{name} is {theirs!r}, the log says {ours!r}"
        for name, ours, theirs in zip(names, replayed, stored, strict=False)
        if ours != theirs
    ]
    return f"{type(replayed).__name__} {'/'.join(map(str, replayed[:3]))}: " + "; ".join(parts)
