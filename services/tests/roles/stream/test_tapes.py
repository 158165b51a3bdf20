"""Native channels: what is told, to whom, and where a follower may go on."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from outcry.market.depth import DepthView
from outcry.market.terms import BUY, SELL
from outcry.roles.stream.changes import Changes
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.link import LAG_BYTES, RESTART
from outcry.roles.stream.tapes import MAX_RESUMED, RING, DepthTape, TradeTape
from tests.support.prints import BTCUSD, trade

EPOCH = 7


class Socket:
    """Keeps what it is sent; how much of it is still unsent, the test says."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = 0
        self.waiting_bytes = 0

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    def heard(self) -> list[Any]:
        return [msgspec.json.decode(payload_of(frame)[1]) for frame in self.frames]


class Market:
    """A book whose windows a tape tells."""

    def __init__(self) -> None:
        self.tape = DepthTape(BTCUSD)
        self.tape.begin(EPOCH)
        self.book = DepthView()

    def move(self, *levels: tuple[int, int, int]) -> None:
        """One window with a change for each level."""
        window = Changes()
        window.first_u, window.last_u = self.book.update_id + 1, self.book.update_id + len(levels)
        window.levels = {(side, price): lots for side, price, lots in levels}
        self.book.apply(levels, window.last_u)
        self.tape.cut(window)
        self.tape.serve(self.book)

    def newcomer(self, resume: tuple[int, int] | None = None) -> Socket:
        socket = Socket()
        self.tape.follow(socket, self.tape.since(*resume) if resume else None)
        return socket


def test_a_newcomer_begins_with_a_snapshot_on_which_the_next_message_follows() -> None:
    market = Market()
    market.move((BUY, 90, 1), (SELL, 95, 2))
    socket = market.newcomer()
    market.move((BUY, 91, 3))
    market.move((BUY, 90, 0))
    snapshot, diff = socket.heard()
    assert snapshot == {
        "channel": "depth:BTCUSD", "type": "snapshot", "epoch": EPOCH, "seq": 3, "recovered": False,
        "bids": [["0.91000000", "0.00003000"], ["0.90000000", "0.00001000"]], "asks": [["0.95000000", "0.00002000"]],
    }  # fmt: skip
    assert (diff["first"], diff["seq"], diff["bids"]) == (4, 4, [["0.90000000", "0.00000000"]])


def test_a_laggard_is_skipped_and_gets_the_shared_snapshot_once_it_has_caught_up() -> None:
    market = Market()
    market.move((BUY, 90, 1))
    slow, also_slow, quick = (market.newcomer() for _ in range(3))
    market.tape.serve(market.book)
    slow.waiting_bytes = also_slow.waiting_bytes = LAG_BYTES + 1
    market.move((BUY, 91, 1))
    market.move((BUY, 92, 1))
    assert (len(slow.frames), len(quick.frames)) == (1, 3)
    slow.waiting_bytes = also_slow.waiting_bytes = 0
    market.move((BUY, 93, 1))
    market.move((BUY, 94, 1))
    assert [told["type"] for told in slow.heard()] == ["snapshot", "snapshot", "depth"]
    assert [told["seq"] for told in slow.heard()] == [1, 4, 5]
    assert slow.frames[1] is also_slow.frames[1]
    assert slow.frames[2] is quick.frames[-1]


def test_a_follower_goes_on_where_it_was() -> None:
    market = Market()
    for price in range(1, 6):
        market.move((BUY, price, 1), (BUY, price, 2))
    resumed = market.newcomer((EPOCH, 6))
    assert [(told["first"], told["seq"]) for told in resumed.heard()] == [(7, 8), (9, 10)]
    market.move((BUY, 7, 1))
    assert resumed.heard()[-1]["first"] == 11
    assert market.newcomer((EPOCH, 11)).heard() == []


def test_nobody_goes_on_from_another_epoch_from_amid_a_window_or_from_too_long_ago() -> None:
    market = Market()
    for _ in range(RING + 10):
        market.move((BUY, 1, 1), (BUY, 1, 2))
    newest = market.tape.seq
    for epoch, seq in (
        (EPOCH + 1, newest), (EPOCH, newest - 3), (EPOCH, newest + 1), (EPOCH, 2), (EPOCH, newest - 2 * MAX_RESUMED - 2)
    ):  # fmt: skip
        assert market.tape.since(epoch, seq) is None, (epoch, seq)
    lacking = market.tape.since(EPOCH, newest - 2 * MAX_RESUMED)
    assert lacking is not None
    assert len(lacking) == MAX_RESUMED


def test_a_missing_window_is_made_up_for_by_a_snapshot() -> None:
    market = Market()
    market.move((BUY, 90, 1))
    socket = market.newcomer()
    market.tape.serve(market.book)
    market.book.apply([(BUY, 91, 1)], 2)  # nobody told the tape
    market.move((BUY, 92, 1))
    assert [(told["type"], told["seq"]) for told in socket.heard()] == [("snapshot", 1), ("snapshot", 3)]
    assert market.tape.since(EPOCH, 1) is None


def test_trades_are_numbered_by_their_ids_and_a_gap_ends_the_followers() -> None:
    tape, socket = TradeTape(BTCUSD), Socket()
    tape.begin(EPOCH)
    tape.follow(socket, None)
    tape.print([trade(1, price=123, side=SELL, time_ms=5), trade(2)])
    tape.print([trade(3)])
    first, second = socket.heard()
    assert (first["first"], first["seq"], second["first"], second["seq"]) == (1, 2, 3, 3)
    assert first["trades"][0] == {
        "id": 1, "price": "1.23000000", "qty": "0.00005000", "quoteQty": "0.00006150", "time": 5, "isBuyerMaker": True,
    }  # fmt: skip
    assert socket.closed == 0
    tape.print([trade(5)])
    assert socket.closed == RESTART
    assert tape.since(EPOCH, 3) is None


def test_heartbeats_and_silence_say_where_the_channel_stands() -> None:
    market = Market()
    market.move((BUY, 90, 1))
    socket = market.newcomer()
    market.tape.beat()
    assert socket.heard() == [], "a heartbeat before the snapshot would look like a gap"
    market.tape.serve(market.book)
    market.tape.beat()
    for stale in (True, True, False):
        market.tape.mark(stale=stale)
    _, beat, silent, back = socket.heard()
    assert beat == {"channel": "depth:BTCUSD", "type": "heartbeat", "epoch": EPOCH, "seq": 1}
    assert (silent["stale"], back["stale"]) == (True, False)


WINDOWS = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=3
)
STEPS = st.lists(st.one_of(WINDOWS, st.sampled_from(["lag", "drain", "lose", "reconnect"])), max_size=50)


@given(STEPS)
def test_however_a_follower_lags_and_comes_back_it_holds_the_book(steps: list[Any]) -> None:
    market = Market()
    socket, place = market.newcomer(), (EPOCH, 0)
    held: dict[tuple[str, str], str] = {}

    def catch_up() -> None:
        nonlocal place
        for told in socket.heard():
            if told["type"] == "snapshot":
                held.clear()
            else:
                assert told["first"] == place[1] + 1
            for side in ("bids", "asks"):
                for price, qty in told[side]:
                    held[(side, price)] = qty
            place = (told["epoch"], told["seq"])
        socket.frames.clear()

    for step in [*steps, "drain", [(BUY, 1, 1)]]:
        if step == "lag":
            socket.waiting_bytes = LAG_BYTES + 1
        elif step == "drain":
            socket.waiting_bytes = 0
        elif step == "lose":
            market.book.apply([(SELL, 9, 1)], market.book.update_id + 1)
        elif step == "reconnect":
            catch_up()
            market.tape.leave(socket)
            socket = market.newcomer(place)
        else:
            market.move(*step)
    catch_up()
    sides = zip(("bids", "asks"), market.book.top(100), strict=True)
    book = {(side, f"{p / 100:.8f}"): f"{q / 100_000:.8f}" for side, levels in sides for p, q in levels}
    assert {level: qty for level, qty in held.items() if qty != "0.00000000"} == book
