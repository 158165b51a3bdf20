"""What an event moves between accounts: double entry in whole minor units, a pure function of the event."""

from outcry.market.events import AnyEvent, HoldReleased, OrderRejected, Traded
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, FEE_ACCOUNT
from outcry.rows import TradeRow

Leg = tuple[int, int, int, int]  # account, asset, change of free, change of held: minor units


def postings_of(event: AnyEvent, instrument: Instrument) -> list[Leg]:
    """The legs of one event; per asset the legs of a trade sum to zero, and so do a release's."""
    kind = type(event)
    if kind is Traded:
        assert isinstance(event, Traded)
        return trade_legs(event, instrument)
    if kind is HoldReleased:
        assert isinstance(event, HoldReleased)
        return [(event.account, event.asset, event.amount, -event.amount)] if event.amount else []
    if kind is OrderRejected:
        assert isinstance(event, OrderRejected)
        return [(event.account, event.asset, event.released, -event.released)] if event.released else []
    return []


def trade_legs(traded: Traded, instrument: Instrument) -> list[Leg]:
    """The buyer's hold pays the amount, the seller's hold delivers; each pays its fee from what it receives."""
    if traded.taker_side == BUY:
        buyer, seller = traded.taker_account, traded.maker_account
        base_fee, quote_fee = traded.taker_fee, traded.maker_fee
    else:
        buyer, seller = traded.maker_account, traded.taker_account
        base_fee, quote_fee = traded.maker_fee, traded.taker_fee
    size, amount = traded.qty * instrument.lot_size, traded.amount
    base, quote = instrument.base_asset, instrument.quote_asset
    legs = [
        (buyer, quote, 0, -amount),
        (buyer, base, size - base_fee, 0),
        (seller, base, 0, -size),
        (seller, quote, amount - quote_fee, 0),
    ]
    if base_fee:
        legs.append((FEE_ACCOUNT, base, base_fee, 0))
    if quote_fee:
        legs.append((FEE_ACCOUNT, quote, quote_fee, 0))
    return legs


def fees_of(trade: TradeRow) -> tuple[int, int]:
    """A stored trade's (base fee of the buyer, quote fee of the seller), minor units."""
    if trade.taker_side == BUY:
        return trade.taker_fee, trade.maker_fee
    return trade.maker_fee, trade.taker_fee
