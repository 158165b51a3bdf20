"""Logs made from a seed: every kind of command, with holds, overtaking cancels, copies, late and broken records."""

import random
from collections.abc import Iterator, Sequence

import msgspec

from outcry.codec import encode_frame
from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    HaltMarket,
    OpenMarket,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
    Tick,
)
from outcry.market.holds import need_of
from outcry.market.instrument import Instrument
from outcry.market.terms import (
    ALLOW_FAILURE,
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    SELL,
    STOP_LOSS,
    STOP_LOSS_LIMIT,
    STOP_ON_FAILURE,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
)
from outcry.rows import Record

START_MS = 1_700_000_000_000
WINDOW_MS = 60_000
BTC, USD, ETH = 1, 2, 3
BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=BTC, quote_asset=USD,
    tick_size=1_000_000, lot_size=100_000,
)  # fmt: skip
ETHUSD = Instrument(
    symbol_id=2, symbol="ETHUSD", partition=0, base="ETH", quote="USD", base_asset=ETH, quote_asset=USD,
    tick_size=1_000_000, lot_size=100_000,
)  # fmt: skip
ACCOUNTS = range(1001, 1007)


class Scribe:
    """Writes random commands; ids and times are its own, as the intake would give them."""

    def __init__(self, seed: int, part: int = 0) -> None:
        self.chance = random.Random(seed)
        self.listed = [_in_partition(each, part) for each in (BTCUSD, ETHUSD)]
        self.first = self.listed[0]
        self.now_ms = START_MS
        self.next_id = 1
        self.next_list = 1
        self.placed: list[PlaceOrder] = []
        self.last = {each.symbol_id: price for each, price in zip(self.listed, (1000, 500), strict=True)}

    def listing(self) -> list[AnyCommand]:
        return [self.named(SetInstrument, instrument=each, symbol_id=each.symbol_id) for each in self.listed]

    def named(self, kind: type, **fields: object) -> AnyCommand:
        self.next_command = getattr(self, "next_command", 0) + 1
        return kind(command_id=self.next_command, **fields)  # type: ignore[no-any-return]

    def command(self) -> AnyCommand:
        """One command of any kind a trader or an operator can send."""
        pick = self.chance.random()
        if pick < 0.62 or not self.placed:
            return self.order()
        if pick < 0.80:
            return self.cancel(self.chance.choice(self.placed[-40:]))
        if pick < 0.86:
            return self.replace(self.chance.choice(self.placed[-40:]))
        if pick < 0.91:
            target = self.chance.choice(self.placed[-40:])
            qty = max(1, target.qty - self.chance.randint(0, 5))
            return self.named(
                AmendOrder, symbol_id=target.symbol_id, account=target.account, order_id=target.order_id, qty=qty,
                new_client_id=self.chance.choice(("", f"amended-{self.next_id}")),
            )  # fmt: skip
        if pick < 0.95:
            return self.oco()
        if pick < 0.97:
            return self.cancel_all()
        if pick < 0.98:
            return self.chance.choice(self.placed)  # a copy of an earlier command
        if pick < 0.99:
            return Tick(command_id=0, symbol_id=0)
        return self.named(
            self.chance.choice((HaltMarket, OpenMarket, OpenMarket, OpenMarket)), symbol_id=self.first.symbol_id
        )

    def order(self, **given: object) -> PlaceOrder:
        side = self.chance.choice((BUY, SELL))
        instrument = self.chance.choice((self.first, *self.listed))
        kind = self.chance.choice((LIMIT,) * 8 + (MARKET, MARKET, LIMIT_MAKER, STOP_LOSS, STOP_LOSS_LIMIT,
                                   TAKE_PROFIT, TAKE_PROFIT_LIMIT))  # fmt: skip
        terms = self._terms(kind, side, self.last[instrument.symbol_id])
        terms |= {"side": side, "type": kind, "symbol_id": instrument.symbol_id, **given}
        return self.held(terms, instrument)

    def held(self, terms: dict[str, object], instrument: Instrument) -> PlaceOrder:
        """The order with an id, a bound and the hold that it needs; now and then with less, now and then late."""
        order_id, self.next_id = self.next_id, self.next_id + 1
        late = self.chance.random() < 0.01
        order = self.named(
            PlaceOrder, order_id=order_id, account=self.chance.choice(ACCOUNTS), client_order_id=f"o-{order_id}",
            maker_ppm=1000, taker_ppm=2000, stp=self.chance.randint(0, 4), intake_ms=self.now_ms,
            valid_until_ms=self.now_ms - 1 if late else self.now_ms + WINDOW_MS, **terms,
        )  # fmt: skip
        assert isinstance(order, PlaceOrder)
        need = need_of(order, instrument, self.last[instrument.symbol_id]) or 0
        if self.chance.random() < 0.01:
            need //= 2
        order = _with(order, held=need)
        self.placed.append(order)
        return order

    def cancel(self, target: PlaceOrder) -> AnyCommand:
        """Of a known order, or of the next one, which it then overtakes."""
        order_id, account = target.order_id, target.account
        if self.chance.random() < 0.08:
            order_id = self.next_id + 1
        return self.named(
            CancelOrder, symbol_id=target.symbol_id, account=account, order_id=order_id,
            target_valid_until_ms=target.valid_until_ms, restriction=self.chance.choice((0, 0, 0, 1, 2)),
        )  # fmt: skip

    def replace(self, target: PlaceOrder) -> AnyCommand:
        new = self.order(symbol_id=target.symbol_id)
        new = _with(new, account=target.account, command_id=0)
        self.placed[-1] = new
        return self.named(
            ReplaceOrder, symbol_id=target.symbol_id, account=target.account, order_id=target.order_id,
            target_valid_until_ms=target.valid_until_ms, new=new,
            mode=self.chance.choice((STOP_ON_FAILURE, ALLOW_FAILURE)),
        )  # fmt: skip

    def oco(self) -> AnyCommand:
        side, last = self.chance.choice((BUY, SELL)), self.last[self.first.symbol_id]
        qty, gap = self.chance.randint(1, 30), self.chance.randint(1, 15)
        limit = {"type": LIMIT_MAKER, "price": last - side * gap}
        stop = {"type": STOP_LOSS_LIMIT, "price": last + side * (gap + 2), "stop_price": last + side * gap}
        legs = [limit, stop] if side == SELL else [stop, limit]
        terms: dict[str, object] = {"side": side, "symbol_id": self.first.symbol_id, "qty": qty}
        orders = [_with(self.held({**terms, **leg}, self.first), account=1001, command_id=0) for leg in legs]
        until = max(each.valid_until_ms for each in orders)
        above = _with(orders[0], held=max(each.held for each in orders), valid_until_ms=until)
        below = _with(orders[1], held=0, valid_until_ms=until)
        self.placed[-2:] = [above, below]
        list_id, self.next_list = self.next_list, self.next_list + 1
        return self.named(
            PlaceList,
            symbol_id=self.first.symbol_id,
            list_id=list_id,
            account=1001,
            client_list_id=f"l-{list_id}",
            above=above,
            below=below,
        )

    def cancel_all(self) -> AnyCommand:
        account, symbol_id = self.chance.choice(ACCOUNTS), self.first.symbol_id
        targets = tuple(
            (o.order_id, o.valid_until_ms)
            for o in self.placed[-60:]
            if o.account == account and o.symbol_id == symbol_id
        )
        return self.named(CancelAll, symbol_id=symbol_id, account=account, targets=targets)

    def _terms(self, kind: int, side: int, last: int) -> dict[str, object]:
        chance = self.chance
        terms: dict[str, object] = {"qty": chance.randint(1, 40)}
        if kind in (LIMIT, LIMIT_MAKER, STOP_LOSS_LIMIT, TAKE_PROFIT_LIMIT):
            terms["price"] = last + chance.randint(-12, 12)
            terms["tif"] = chance.choice((GTC, GTC, GTC, IOC, FOK)) if kind == LIMIT else GTC
            if kind == LIMIT and terms["tif"] == GTC and chance.random() < 0.15:
                terms["iceberg_qty"] = 5
        if kind == MARKET and chance.random() < 0.4:
            terms |= {"qty": 0, "quote_qty": chance.randint(1, 40) * last * BTCUSD.quote_unit}
        if kind in (STOP_LOSS, STOP_LOSS_LIMIT):
            terms["stop_price"] = last + side * chance.randint(1, 10)
        if kind in (TAKE_PROFIT, TAKE_PROFIT_LIMIT):
            terms["stop_price"] = last - side * chance.randint(1, 10)
        if kind == STOP_LOSS and chance.random() < 0.4:
            terms["trail_bps"] = chance.randint(20, 300)
        return terms


def random_log(seed: int, commands: int) -> Iterator[Record]:
    """Records of partition 0 from offset 0 on."""
    scribe = Scribe(seed)
    frames = [scribe.listing()]
    made = 0
    while made < commands:
        frames.append([scribe.command() for _ in range(scribe.chance.choice((1, 1, 2, 7)))])
        made += len(frames[-1])
    for offset, frame in enumerate(frames):
        scribe.now_ms = START_MS + offset * 7
        yield Record(0, offset, scribe.now_ms, broken(encode_frame(frame), scribe.chance))


def broken(frame: bytes, chance: random.Random) -> bytes:
    """The frame, or in one of a hundred cases a frame with one bit changed."""
    if chance.random() >= 0.01:
        return frame
    at = chance.randrange(len(frame))
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def record(offset: int, commands: Sequence[AnyCommand], *, timestamp_ms: int = START_MS) -> Record:
    """One record of partition 0."""
    return Record(0, offset, timestamp_ms, encode_frame(commands))


def _in_partition(instrument: Instrument, part: int) -> Instrument:
    """The instrument as another partition lists it, under a symbol id of its own."""
    symbol_id = instrument.symbol_id + 2 * part
    return msgspec.structs.replace(instrument, partition=part, symbol_id=symbol_id)


def _with(order: PlaceOrder, **changes: object) -> PlaceOrder:
    return msgspec.structs.replace(order, **changes)
