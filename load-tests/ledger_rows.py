"""What an engine hands its ledger in a lively market: half of the orders rest, each of the others takes one of them."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services"))

from outcry.claims import HoldRequest
from outcry.market.terms import FEE_ACCOUNT, FILLED, NEW
from outcry.rows import (
    Advance,
    CandleRow,
    IntakeMark,
    OrderRow,
    PartBatch,
    PostingRow,
    SymbolRow,
    TradeRow,
)

START_MS = 1_700_000_000_000
SYMBOLS = PARTS = 8
ACCOUNTS = 2_000
USD, BTC = 1, 2
AMOUNT = 100
WINDOW_MS = 60_000
BODY = b"x" * 110  # a PlaceOrder takes about as much
INTERVALS = (60_000, 3_600_000, 86_400_000)


class Market:
    """Requests for holds, and for the order ids that they got one batch per partition at the next offset."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._names = 0
        self._trades = [0] * (SYMBOLS + 1)
        self._offsets = [0] * PARTS
        self._resting: list[list[OrderRow]] = [[] for _ in range(PARTS)]

    def requests(self, count: int) -> list[HoldRequest]:
        """Requests of random accounts; every second one will take."""
        made = []
        for n in range(count):
            self._names += 1
            part = self._chance.randrange(PARTS)
            asset = USD if n % 2 else BTC
            account = self._chance.randrange(1, ACCOUNTS)
            name = f"bench-{self._names:012d}"
            made.append(HoldRequest(part, account, part + 1, asset, AMOUNT, name, WINDOW_MS, BODY, n))
        return made

    def batches(self, held: Sequence[tuple[HoldRequest, int]]) -> list[PartBatch]:
        """One batch per partition that has work, of (request, order id)."""
        by_part: list[list[tuple[HoldRequest, int]]] = [[] for _ in range(PARTS)]
        for each in held:
            by_part[each[0].part].append(each)
        return [self._batch(part, own) for part, own in enumerate(by_part) if own]

    def _batch(self, part: int, held: Sequence[tuple[HoldRequest, int]]) -> PartBatch:
        offset = self._offsets[part]
        self._offsets[part] += 1
        batch = PartBatch(
            Advance(part, 1, offset, offset + 1, START_MS + offset, 1, offset, 7, b"h" * 32, b"t" * 32),
            *([] for _ in PartBatch._fields[1:-1]),
        )
        resting, rested = self._resting[part], []
        idx = iter(range(len(held) * 7))
        for request, order_id in held:
            order = _order(request, order_id, offset)
            if request.asset_id == BTC and resting:
                self._take(batch, resting.pop(0), order, idx)
            else:
                if request.asset_id == USD:
                    rested.append(order)  # not to be taken by this batch: that would be one row of its own kind
                batch.new_orders.append(order)
                batch.intake_marks.append(IntakeMark(order_id, part, AMOUNT, offset, 1))
        resting.extend(rested)
        batch.symbols.append(SymbolRow(part + 1, part, 1, 2, 3, 4, 5, 6, 7, b"i" * 200, b"s" * 40))
        batch.candles.extend(CandleRow(part + 1, each, 0, 1, 4, 1, 2, 5, 20, 1, 1, 20, 1, 1) for each in INTERVALS)
        return batch

    def _take(self, batch: PartBatch, maker: OrderRow, taker: OrderRow, idx: Iterator[int]) -> None:
        part, symbol, offset = taker.part, taker.symbol_id, batch.advance.from_offset
        self._trades[symbol] += 1
        trade_id = self._trades[symbol]
        done = {"status": FILLED, "executed": 5, "cum_quote": AMOUNT, "held": 0, "visible": 0, "open": 0}
        batch.touched_orders.append(maker._replace(**done))
        batch.new_orders.append(taker._replace(**done))
        batch.intake_marks.append(IntakeMark(taker.order_id, part, AMOUNT, offset, 0))
        batch.intake_closed.append(maker.order_id)
        batch.trades.append(
            TradeRow(
                symbol, trade_id, trade_id, part, offset, next(idx), START_MS + offset, 20, 5, AMOUNT, -1,
                maker.order_id, taker.order_id, maker.account_id, taker.account_id, 1, 1,
            )
        )  # fmt: skip
        legs = (
            (maker.account_id, USD, 0, -AMOUNT), (maker.account_id, BTC, AMOUNT - 1, 0),
            (taker.account_id, BTC, 0, -AMOUNT), (taker.account_id, USD, AMOUNT - 1, 0),
            (FEE_ACCOUNT, BTC, 1, 0), (FEE_ACCOUNT, USD, 1, 0),
        )  # fmt: skip
        batch.postings.extend(PostingRow(part, offset, next(idx), *leg, symbol, trade_id) for leg in legs)


def _order(request: HoldRequest, order_id: int, offset: int) -> OrderRow:
    return OrderRow(
        order_id=order_id, part=request.part, symbol_id=request.symbol_id, account_id=request.account_id,
        client_order_id=request.client_order_id, side=1, type=1, tif=1, price=20, qty=5, quote_qty=0, stop_price=0,
        trail_bps=0, iceberg_qty=0, stp=0, status=NEW, executed=0, cum_quote=0, held=AMOUNT, visible=5, prevented=0,
        stage=0, trail_ref=0, priority_seq=order_id, list_id=-1, maker_ppm=0, taker_ppm=0, strategy_id=0,
        strategy_type=0, placed_ms=START_MS + offset, updated_ms=START_MS + offset, working_ms=START_MS + offset,
        applied_offset=offset, code=0, text="", open=1,
    )  # fmt: skip
