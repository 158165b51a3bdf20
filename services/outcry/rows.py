"""What the ledger keeps: plain rows, column for column as every adapter stores them.

Prices are ticks, sizes lots, money minor units, times integer milliseconds. Named tuples, so that an
adapter binds a row as it is. The codes of side, type, status and the rest are those of ``market.terms``.
"""

from typing import NamedTuple


class OrderRow(NamedTuple):
    """One order as of the partition's ``next_offset``. While ``open`` it is all that LOAD needs."""

    order_id: int
    part: int
    symbol_id: int
    account_id: int
    client_order_id: str
    side: int
    type: int
    tif: int
    price: int
    qty: int
    quote_qty: int
    stop_price: int
    trail_bps: int
    iceberg_qty: int
    stp: int
    status: int
    executed: int  # lots
    cum_quote: int  # quote minor units
    held: int  # what is left of the hold, minor units
    visible: int  # lots shown of an iceberg's current peak (else: lots left)
    prevented: int  # lots lost to self-trade prevention
    stage: int  # terms.NOT_A_STOP, WAITING, TRIGGERED, WORKING
    trail_ref: int  # price extreme a trailing stop follows, ticks; 0 before its activation
    priority_seq: int
    list_id: int  # -1: none
    maker_ppm: int
    taker_ppm: int
    strategy_id: int
    strategy_type: int
    placed_ms: int
    updated_ms: int
    working_ms: int  # 0: not (yet) in the book
    applied_offset: int  # -1: voided
    code: int  # Binance error of a REJECTED order, else 0
    text: str
    open: int  # 1 or 0


class TradeRow(NamedTuple):
    """One match; ``trade_id`` is dense per symbol. Fees: buyer's in base, seller's in quote."""

    symbol_id: int
    trade_id: int
    agg_id: int
    part: int
    log_offset: int
    idx: int
    time_ms: int
    price: int
    qty: int
    amount: int
    taker_side: int
    maker_order: int
    taker_order: int
    maker_account: int
    taker_account: int
    maker_fee: int
    taker_fee: int


class OpeningRow(NamedTuple):
    """What an account's trades of a symbol had come to when retention deleted them (market.portfolio.Position)."""

    account_id: int
    symbol_id: int
    next_trade: int  # trades of the account before this id are in the row
    qty: int  # base minor units
    cost: int  # quote minor units, as all that follow but for fees in base
    realised: int
    base_fees: int
    quote_fees: int
    fills: int
    since_ms: int


class PostingRow(NamedTuple):
    """One leg of a double entry; per trade and asset the deltas sum to zero. ``trade_id`` 0: a release."""

    part: int
    log_offset: int
    idx: int
    account_id: int
    asset_id: int
    free_delta: int
    held_delta: int
    symbol_id: int
    trade_id: int


class PreventedRow(NamedTuple):
    """One match that self-trade prevention stopped (GET /api/v3/myPreventedMatches)."""

    symbol_id: int
    prevented_id: int
    part: int
    log_offset: int
    account_id: int
    maker_order: int
    taker_order: int
    price: int
    maker_prevented: int
    taker_prevented: int
    mode: int
    time_ms: int


class AmendmentRow(NamedTuple):
    """One amend of one order (GET /api/v3/order/amendments); an order's execution ids grow."""

    part: int
    execution_id: int  # number of the event in its partition
    log_offset: int
    symbol_id: int
    account_id: int
    order_id: int
    old_client_order_id: str
    new_client_order_id: str
    old_qty: int  # lots in all, before
    new_qty: int  # and after
    time_ms: int


class ListRow(NamedTuple):
    """One order list (OCO)."""

    list_id: int
    part: int
    symbol_id: int
    account_id: int
    client_list_id: str
    above_id: int
    below_id: int
    status: str  # EXEC_STARTED or ALL_DONE
    placed_ms: int


class SymbolRow(NamedTuple):
    """A market's counters at the partition's ``next_offset``; ``state`` holds what else it must remember."""

    symbol_id: int
    part: int
    trade_seq: int  # last trade id
    agg_seq: int
    update_id: int  # last u: changes of a visible level
    public_seq: int  # last seq: commands with a public event
    priority_seq: int
    prevented_seq: int
    last_price: int  # ticks; 0 before the first trade
    instrument: bytes  # msgpack of market.instrument.Instrument
    state: bytes  # msgpack of the market's other memory (trailing extremes, last aggregate)


class CandleRow(NamedTuple):
    """One candle; the ledger keeps 1 m, 1 h and 1 d, other intervals are merged from these."""

    symbol_id: int
    interval_ms: int
    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int  # lots
    amount: int  # quote minor units
    trades: int
    taker_buy_volume: int
    taker_buy_amount: int
    first_trade: int
    last_trade: int


class IntakeMark(NamedTuple):
    """An order's first outcome: exactly one intake row with this part and hold must take it."""

    order_id: int
    part: int
    held: int
    applied_offset: int
    open: int


class CancelMark(NamedTuple):
    """A cancel that overtook its order: the order is canceled when its own record arrives."""

    order_id: int
    cancel_offset: int


class DeadLetter(NamedTuple):
    """A frame that cannot be read; its commands never happen and are voided."""

    part: int
    log_offset: int
    reason: str
    record: bytes


class IntakeRow(NamedTuple):
    """An order that has a hold, from the api's commit on until it is closed and past its bound."""

    order_id: int
    part: int
    account_id: int
    symbol_id: int
    asset_id: int
    held: int
    client_order_id: str
    body: bytes  # codec.encode_command of the command it came in, ids and bound still 0
    intake_ms: int
    valid_until_ms: int
    applied_offset: int | None  # None: no outcome yet, -1: voided
    cancel_offset: int | None
    list_id: int  # -1: none
    open: int


class PartitionRow(NamedTuple):
    """How far a partition's log has been applied, and the fence that only its owner passes."""

    part: int
    next_offset: int
    epoch: int
    log_time: int
    rules_version: int
    event_seq: int
    state_hash: int
    log_hash: bytes
    tail_hash: bytes
    status: str  # RUN or HALT
    halt_reason: str | None


class Advance(NamedTuple):
    """The compare-and-set of one partition in a batch."""

    part: int
    epoch: int
    from_offset: int
    to_offset: int
    log_time: int
    rules_version: int
    event_seq: int
    state_hash: int
    log_hash: bytes
    tail_hash: bytes


class PartBatch(NamedTuple):
    """All that one partition's records turned into since its last commit."""

    advance: Advance
    new_orders: list[OrderRow]  # order ids the ledger has not seen
    touched_orders: list[OrderRow]  # known ones, as they are now
    trades: list[TradeRow]
    postings: list[PostingRow]
    prevented: list[PreventedRow]
    lists: list[ListRow]  # upserts
    symbols: list[SymbolRow]  # upserts
    candles: list[CandleRow]  # upserts
    intake_marks: list[IntakeMark]
    intake_closed: list[int]  # order ids with an earlier mark that left the book: open = 0
    cancel_marks: list[CancelMark]
    dead_letters: list[DeadLetter]
    amendments: list[AmendmentRow]
    told: bytes = b""  # the encoded publication, where listeners may lose what they were told


class PartState(NamedTuple):
    """LOAD: a partition exactly at ``row.next_offset``."""

    row: PartitionRow
    symbols: list[SymbolRow]
    orders: list[OrderRow]  # open ones, by (symbol_id, priority_seq)
    lists: list[ListRow]  # lists not ALL_DONE
    candles: list[CandleRow]  # newest candle per symbol and interval
    applied: list[tuple[int, int]]  # dedupe window: (order_id, valid_until_ms)
    cancel_marks: list[int]  # order ids to cancel on arrival
    skips: list[tuple[int, int, str]]  # approved engine_skip: (offset, index, reason)


KEY_KEPT_MS = 24 * 60 * 60 * 1000  # how long an Idempotency-Key is remembered after its last write


class KeptKey(NamedTuple):
    """An Idempotency-Key with what was placed under it and what its client was told."""

    account_id: int
    key: str
    order_ids: list[int]
    response: bytes | None  # JSON of HTTP status and body; None: not told yet
    expires_ms: int


class Balance(NamedTuple):
    """Money of one account in one asset, unfolded postings included."""

    asset_id: int
    free: int
    held: int


class TransferRow(NamedTuple):
    """Money that came in or went out; numbers grow, but a lower one may be committed after a higher one."""

    transfer_id: int
    time_ms: int
    account_id: int
    asset_id: int
    amount: int  # minor units; a withdrawal is negative

    @property
    def number(self) -> int:
        return self.transfer_id


class AssetRow(NamedTuple):
    """An asset; every asset has 8 decimals."""

    asset_id: int
    asset: str


class AccountRow(NamedTuple):
    """Who trades. ``*_ppm`` are the fee rates stamped into its commands."""

    account_id: int
    name: str
    maker_ppm: int
    taker_ppm: int
    frozen: int
    created_ms: int


class KeyRow(NamedTuple):
    """An API key. ``secret`` is the sealed HMAC secret or the raw Ed25519 public key (32 bytes)."""

    api_key: str
    account_id: int
    kind: str  # HMAC or ED25519
    secret: bytes
    scopes: str  # comma-separated: read,trade,withdraw,admin
    ip_list: str  # comma-separated addresses or networks, "" for any
    created_ms: int
    expires_ms: int  # 0: never
    revoked_ms: int  # 0: not


class AuditRow(NamedTuple):
    """Who did what to the venue."""

    time_ms: int
    actor: str
    action: str
    subject: str
    detail: str


class Checkpoint(NamedTuple):
    """A partition's whole state at an offset, from which ``verify`` and ``replay`` start."""

    part: int
    next_offset: int
    log_time: int
    event_seq: int
    state_hash: int
    log_hash: bytes
    state: bytes  # codec.encode_state of PartState, compressed
    created_ms: int


class Record(NamedTuple):
    """One journal record: a frame, where it stands, and the journal's own time for it."""

    part: int
    offset: int
    timestamp_ms: int
    frame: bytes


class Money(NamedTuple):
    """All money of the ledger at one moment, postings that are not folded yet included. Amounts are minor units."""

    balances: list[tuple[int, int, int, int]]  # account, asset, free, held
    needs: list[tuple[int, int, int]]  # account, asset, what open orders and unapplied intake rows hold
    transfers: list[tuple[int, int]]  # asset, deposits minus withdrawals
    strays: list[int]  # orders whose outcome ``orders`` and ``intake`` tell differently
