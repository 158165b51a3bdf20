"""One partition in memory: what a record does to it, and what it says of that."""

from collections.abc import Sequence

import msgspec
import pytest

from outcry.codec import encode_frame
from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelOrder,
    HaltMarket,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
    SetVersion,
    Tick,
)
from outcry.market.events import Traded
from outcry.market.pit import Pit
from outcry.market.terms import (
    ALLOW_FAILURE,
    BUY,
    CANCELED,
    FILLED,
    LIMIT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    REJECTED,
    SELL,
    STOP_LOSS,
    STP_DECREMENT,
    TRIGGERED,
)
from outcry.ports import Outcome, Publication
from outcry.roles.engine import session as session_module
from outcry.roles.engine.blotter import order_hash
from outcry.roles.engine.session import Contradiction, Session, genesis
from outcry.rows import OrderRow, PartBatch, Record
from tests.support.logs import BTCUSD, ETHUSD, START_MS, WINDOW_MS
from tests.support.paper import PaperLedger
from tests.support.storage import order_row

ANN, BEN = 1001, 1002


class Desk:
    """Writes records for one session, with sound holds."""

    def __init__(self) -> None:
        self.session = Session(genesis(0), follows=lambda account: account == ANN)
        self.records: list[Record] = []
        self.now_ms = START_MS
        self.number = 0
        self.apply(SetInstrument(command_id=0, symbol_id=1, instrument=BTCUSD))

    def apply(self, *commands: AnyCommand) -> None:
        self.now_ms += 1
        self.raw(encode_frame(commands))

    def raw(self, frame: bytes) -> None:
        self.records.append(Record(0, len(self.records), self.now_ms, frame))
        self.session.apply(self.records[-1])

    def take(self) -> tuple[PartBatch, Publication]:
        return self.session.take()

    def outcomes(self, *commands: AnyCommand) -> Sequence[Outcome]:
        self.apply(*commands)
        return self.take()[1].outcomes

    def order(self, text: str, account: int = ANN, **fields: object) -> PlaceOrder:
        side, terms = text.split()
        qty, price = (int(number) for number in terms.split("@"))
        self.number += 1
        asked: dict[str, object] = {
            "command_id": self.number, "symbol_id": 1, "order_id": self.number, "account": account,
            "client_order_id": f"c{self.number}", "side": BUY if side == "buy" else SELL, "type": LIMIT,
            "qty": qty, "price": price, "valid_until_ms": self.now_ms + WINDOW_MS,
            "held": qty * price * BTCUSD.quote_unit if side == "buy" else qty * BTCUSD.lot_size, **fields,
        }  # fmt: skip
        return PlaceOrder(**asked)  # type: ignore[arg-type]

    def cancel(self, order: PlaceOrder, **fields: object) -> CancelOrder:
        self.number += 1
        asked: dict[str, object] = {
            "command_id": self.number, "symbol_id": 1, "account": order.account, "order_id": order.order_id,
            "target_valid_until_ms": order.valid_until_ms, **fields,
        }  # fmt: skip
        return CancelOrder(**asked)  # type: ignore[arg-type]


def test_an_order_gets_one_mark_and_one_outcome() -> None:
    desk = Desk()
    order = desk.order("buy 3@100")
    desk.take()
    desk.apply(order)
    batch, news = desk.take()
    assert [(mark.order_id, mark.held, mark.applied_offset, mark.open) for mark in batch.intake_marks] == [
        (1, order.held, 1, 1)
    ]
    assert [row.status for row in batch.new_orders] == [NEW]
    assert [outcome.orders for outcome in news.outcomes] == [tuple(batch.new_orders)]
    assert (news.outcomes[0].offset, news.outcomes[0].time_ms) == (1, desk.now_ms)


def test_an_order_that_closes_later_is_closed_at_intake_then() -> None:
    desk = Desk()
    order = desk.order("buy 3@100")
    desk.apply(order)
    desk.take()
    desk.apply(desk.order("sell 3@100", BEN))
    batch, news = desk.take()
    assert batch.intake_closed == [order.order_id]
    assert [mark.open for mark in batch.intake_marks] == [0]
    assert [row.status for row in batch.touched_orders] == [FILLED]
    assert [fill.maker_id for fill in news.outcomes[0].fills] == [order.order_id]


def test_an_outcome_shows_the_order_as_it_is_after_its_own_command() -> None:
    desk = Desk()
    first, second = desk.order("buy 3@100"), desk.order("sell 2@100", BEN)
    outcomes = desk.outcomes(first, second)
    assert (outcomes[0].orders[0].executed, outcomes[1].orders[0].executed) == (0, 2)


def test_log_time_never_goes_back() -> None:
    desk = Desk()
    desk.apply(Tick(command_id=0, symbol_id=0))
    high = desk.session.log_time
    desk.now_ms -= 5_000
    desk.apply(desk.order("buy 1@1", valid_until_ms=high))
    batch, _ = desk.take()
    assert desk.session.log_time == high
    assert [row.placed_ms for row in batch.new_orders] == [high]


def test_a_late_order_has_no_effect_and_no_mark() -> None:
    desk = Desk()
    assert desk.outcomes(desk.order("buy 1@1", valid_until_ms=desk.now_ms)) == ()
    batch, _ = desk.take()
    assert (desk.session.late, batch.new_orders, batch.intake_marks) == (1, [], [])


def test_the_last_moment_of_its_bound_is_in_time() -> None:
    desk = Desk()
    assert len(desk.outcomes(desk.order("buy 1@1", valid_until_ms=desk.now_ms + 1))) == 1


def test_a_hole_in_the_log_is_no_record() -> None:
    desk = Desk()
    with pytest.raises(AssertionError, match="record 7 came where 1 is due"):
        desk.session.apply(Record(0, 7, desk.now_ms, b""))


def test_a_command_for_another_partition_moves_nothing() -> None:
    desk = Desk()
    desk.take()
    elsewhere = msgspec.structs.replace(ETHUSD, partition=3)
    outcomes = desk.outcomes(
        SetInstrument(command_id=90, symbol_id=2, instrument=elsewhere), desk.order("buy 1@1", symbol_id=2)
    )
    assert [outcome.code for outcome in outcomes] == [-1121, -1121]
    batch, _ = desk.take()
    assert (batch.new_orders, batch.intake_marks, batch.postings) == ([], [], [])


def test_a_refused_order_is_a_row_and_gives_its_hold_back() -> None:
    desk = Desk()
    desk.apply(desk.order("buy 2@100", held=199 * BTCUSD.quote_unit))
    batch, news = desk.take()
    assert news.outcomes[0].code == -2010
    assert [(row.status, row.code, row.held) for row in batch.new_orders] == [(REJECTED, -2010, 0)]
    assert [(row.free_delta, row.held_delta) for row in batch.postings] == [
        (199 * BTCUSD.quote_unit, -199 * BTCUSD.quote_unit)
    ]
    assert batch.intake_marks[0].open == 0


def test_a_second_cancel_finds_no_order() -> None:
    desk = Desk()
    order = desk.order("buy 1@1")
    outcomes = desk.outcomes(order, desk.cancel(order), desk.cancel(order))
    assert [outcome.code for outcome in outcomes] == [0, 0, -2011]
    assert [row.status for row in outcomes[1].canceled] == [CANCELED]


def test_a_cancel_past_its_targets_bound_does_not_wait_for_it() -> None:
    desk = Desk()
    ghost = desk.order("buy 1@1")
    desk.now_ms += WINDOW_MS + 1
    assert [outcome.code for outcome in desk.outcomes(desk.cancel(ghost))] == [-2011]


def test_a_restricted_cancel_never_waits() -> None:
    desk = Desk()
    ghost = desk.order("buy 1@1")
    assert [outcome.code for outcome in desk.outcomes(desk.cancel(ghost, restriction=1))] == [-2011]
    assert desk.outcomes(ghost)[0].orders[0].status == NEW


def replacing(desk: Desk, old: PlaceOrder, new: PlaceOrder, **fields: object) -> ReplaceOrder:
    asked: dict[str, object] = {
        "command_id": 500 + new.order_id, "symbol_id": 1, "account": old.account, "order_id": old.order_id,
        "target_valid_until_ms": old.valid_until_ms, "new": msgspec.structs.replace(new, command_id=0), **fields,
    }  # fmt: skip
    return ReplaceOrder(**asked)  # type: ignore[arg-type]


def test_a_replace_pays_the_new_order_from_the_old_one() -> None:
    desk = Desk()
    old, new = desk.order("buy 5@100"), desk.order("buy 4@100", held=0)
    outcomes = desk.outcomes(old, replacing(desk, old, new))
    assert [row.order_id for row in outcomes[1].orders] == [new.order_id]
    assert [row.order_id for row in outcomes[1].canceled] == [old.order_id]
    assert (outcomes[1].code, outcomes[1].cancel_code) == (0, 0)
    assert outcomes[1].orders[0].held == 400 * BTCUSD.quote_unit


def test_a_replace_whose_cancel_fails_says_so_and_keeps_the_books_straight() -> None:
    desk = Desk()
    ghost = desk.order("buy 5@100")
    stop, go = desk.order("buy 1@100"), desk.order("buy 1@101")
    desk.take()
    desk.apply(replacing(desk, ghost, stop), replacing(desk, ghost, go, mode=ALLOW_FAILURE))
    batch, news = desk.take()
    assert [(outcome.code, outcome.cancel_code) for outcome in news.outcomes] == [(-2022, -2011), (0, -2011)]
    assert [row.status for row in batch.new_orders] == [REJECTED, NEW]
    assert [(mark.held, mark.open) for mark in batch.intake_marks] == [(stop.held, 0), (go.held, 1)]


def test_a_copy_of_a_replace_cancels_again_but_places_nothing() -> None:
    desk = Desk()
    old, new = desk.order("buy 5@100"), desk.order("buy 4@100", held=0)
    command = replacing(desk, old, new)
    desk.apply(command)
    desk.apply(old, command)
    batch, _ = desk.take()
    assert [row.order_id for row in batch.new_orders] == [new.order_id, old.order_id]
    assert desk.session._pit.find(old.order_id) is None


def test_an_amendment_tells_the_old_name() -> None:
    desk = Desk()
    order = desk.order("buy 5@100")
    amend = AmendOrder(command_id=77, symbol_id=1, account=ANN, order_id=order.order_id, qty=2, new_client_id="thin")
    desk.take()
    desk.apply(order, amend)
    batch, news = desk.take()
    outcome = news.outcomes[1]
    assert (outcome.orders[0].qty, outcome.orders[0].client_order_id) == (2, "thin")
    (row,) = batch.amendments
    assert row == outcome.amendment
    assert (row.old_client_order_id, row.new_client_order_id, row.old_qty, row.new_qty) == ("c1", "thin", 5, 2)
    assert (row.log_offset, row.time_ms, row.execution_id) == (1, desk.now_ms, batch.advance.event_seq - 1)


def test_rules_that_this_release_does_not_know_stop_it() -> None:
    desk = Desk()
    with pytest.raises(AssertionError, match="matching rules 9"):
        desk.apply(SetVersion(command_id=1, symbol_id=0, rules_version=9))


def test_halting_a_market_is_published() -> None:
    desk = Desk()
    first = desk.take()[1].updates
    assert [(update.snapshot, update.status) for update in first] == [(True, 1)]
    desk.apply(HaltMarket(command_id=3, symbol_id=1))
    (update,) = desk.take()[1].updates
    assert (update.status, update.first_seq, update.last_seq, update.first_u > update.last_u) == (2, 2, 2, True)
    assert desk.outcomes(desk.order("buy 1@1"))[0].code == -2010


def test_what_nobody_sees_is_not_published() -> None:
    desk = Desk()
    desk.take()
    desk.apply(Tick(command_id=0, symbol_id=0))
    batch, news = desk.take()
    assert news == Publication()
    assert (batch.symbols, batch.advance.to_offset) == ([], 2)


def test_only_followed_accounts_hear_of_their_orders() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 1@1", BEN), desk.order("buy 1@1", ANN))
    news = desk.take()[1]
    assert [(each.account_id, type(each.event).__name__) for each in news.executions] == [
        (ANN, "OrderAccepted"), (ANN, "Traded"),
    ]  # fmt: skip
    assert news.moved == (ANN,)


def test_an_order_that_prevention_met_is_told_as_it_was_at_each_step() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 1@100", ANN), desk.order("sell 1@101", BEN), desk.order("sell 1@102", ANN))
    desk.take()
    taker = desk.order("buy 4@102", ANN, stp=STP_DECREMENT)
    desk.apply(taker)
    told = [
        (type(each.event).__name__, each.order.prevented, each.order.executed, each.order.cum_quote, each.order.status)
        for each in desk.take()[1].executions
        if each.order is not None and each.order.order_id == taker.order_id
    ]
    paid = 101 * BTCUSD.quote_unit
    assert told == [
        ("OrderAccepted", 0, 0, 0, NEW), ("MatchPrevented", 1, 0, 0, NEW), ("Traded", 1, 1, paid, PARTIALLY_FILLED),
        ("MatchPrevented", 2, 1, paid, PARTIALLY_FILLED),
    ]  # fmt: skip


def test_trades_of_one_batch_are_told_with_the_time_of_their_own_record() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 5@100", BEN))
    desk.take()
    for _ in range(2):
        desk.now_ms += 1_000
        desk.apply(desk.order("buy 1@100", ANN))
    batch, news = desk.take()
    times = [desk.now_ms - 1_001, desk.now_ms]
    (update,) = news.updates
    assert [trade.time_ms for trade in update.trades] == [trade.time_ms for trade in batch.trades] == times
    assert [each.time_ms for each in news.executions if isinstance(each.event, Traded)] == times
    assert [outcome.time_ms for outcome in news.outcomes] == times


def test_more_stops_than_one_command_may_trigger_go_on_in_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "Pit", lambda: Pit(max_triggers=3))
    desk = Desk()
    desk.apply(desk.order("sell 1@100", BEN), desk.order("buy 1@100", BEN))
    stops = [desk.order("buy 1@0", type=STOP_LOSS, stop_price=110, price=0, held=10**12) for _ in range(7)]
    desk.apply(*stops, desk.order("sell 1@110", BEN), desk.order("buy 1@110", ANN))
    ledger = PaperLedger(desk.records)
    ledger.commit(desk.take()[0])
    assert desk.session.backlog
    waiting = [row for row in ledger.orders.values() if row.stage == TRIGGERED and row.open]
    assert len(waiting) == 4
    restarted = Session(ledger.load())
    while restarted.backlog:
        restarted.resume()
        batch, _ = restarted.take()
        assert batch.advance.from_offset == batch.advance.to_offset
        ledger.commit(batch)
    desk.records.append(Record(0, len(desk.records), desk.now_ms, encode_frame([Tick(command_id=0, symbol_id=0)])))
    desk.session.apply(desk.records[-1])
    restarted.apply(desk.records[-1])
    assert desk.session.take()[0].advance[4:] == restarted.take()[0].advance[4:]


def test_market_orders_carry_their_fills_in_the_outcome() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 1@100", BEN), desk.order("sell 2@101", BEN))
    desk.take()
    (outcome,) = desk.outcomes(desk.order("buy 3@0", type=MARKET, price=0, held=400 * BTCUSD.quote_unit))
    assert [(fill.price, fill.qty) for fill in outcome.fills] == [(100, 1), (101, 2)]
    assert (outcome.orders[0].status, outcome.orders[0].held) == (FILLED, 0)


def test_a_state_that_contradicts_its_hash_or_its_log_is_refused() -> None:
    desk = Desk()
    desk.apply(desk.order("buy 3@100"))
    ledger = PaperLedger(desk.records)
    ledger.commit(desk.take()[0])
    state = ledger.load()
    Session(state).check(state, desk.records[-1])
    altered = state._replace(orders=[state.orders[0]._replace(qty=4)])
    with pytest.raises(Contradiction, match="hash"):
        Session(altered).check(altered, desk.records[-1])
    with pytest.raises(Contradiction, match="record 1 of the journal"):
        Session(state).check(state, desk.records[-1]._replace(frame=b"other"))


def test_a_column_that_is_appended_later_changes_no_stored_hash() -> None:
    row = order_row(7, "seven")
    assert order_hash(row) == 3432559775109772652  # of the release that first stored one
    assert order_hash((*row, "a later column")) == order_hash(row)  # type: ignore[arg-type]
    assert len({order_hash(row._replace(**{name: 99})) for name in OrderRow._fields} | {order_hash(row)}) == 37
