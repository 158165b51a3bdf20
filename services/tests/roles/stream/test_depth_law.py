"""The law of wire-api's sequence and snapshot: whoever follows the depth procedure holds the engine's book."""

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from outcry.adapters.memory import MemoryFeed
from outcry.market.depth import DepthView
from outcry.market.terms import BUY, SELL
from outcry.ports import MarketUpdate, Publication
from outcry.roles.stream.board import Board
from outcry.roles.stream.channel import RAW, Channel
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.names import parse
from tests.support.prints import BTCUSD

LEVELS = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=4
)
STEPS = st.lists(st.one_of(LEVELS, st.sampled_from([100, 1000])), min_size=1, max_size=60)
FIELDS: dict[str, Any] = {"symbol_id": 1, "part": 0, "epoch": 1, "time_ms": 0}


class Gap(Exception):
    """The client sees that an update is missing, and would start again."""


class Follower:
    """A client that joined late, took its snapshot later still, and applies diffs as web-socket-streams.md says."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.book: dict[tuple[str, str], str] = {}
        self.u = 0

    def push(self, frame: bytes) -> None:
        self.events.append(msgspec.json.decode(payload_of(frame)[1]))

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("a client was closed without a gap")

    def start(self, view: DepthView) -> None:
        """Takes the snapshot."""
        assert not self.events or view.update_id >= self.events[0]["U"] - 1
        self.book, self.u = shown(view), view.update_id

    def follow(self) -> None:
        for event in self.events:
            if event["u"] <= self.u:
                continue
            if event["U"] > self.u + 1:
                raise Gap
            for side in "ba":
                for price, qty in event[side]:
                    self.book.pop((side, price), None)
                    if qty != "0.00000000":
                        self.book[(side, price)] = qty
            self.u = event["u"]


def shown(view: DepthView) -> dict[tuple[str, str], str]:
    sides = zip("ba", view.top(100), strict=True)
    return {(side, f"{p / 100:.8f}"): f"{q / 100_000:.8f}" for side, levels in sides for p, q in levels}


class Closable(Follower):
    """A client that may be told to start again."""

    is_closed = False

    def close(self, code: int, reason: str) -> None:
        assert code == RESTART
        self.is_closed = True


class Venue:
    """An engine's book, the embedded feed that cuts its windows, and a board behind a line that may be bad."""

    def __init__(self, name: str, line: Callable[[MarketUpdate], int] = lambda update: 1) -> None:
        stream = parse(name)
        assert stream is not None
        self.channel = Channel(stream)
        self.board = Board(BTCUSD, {name: self.channel})
        self.engine = DepthView()
        self._line = line
        self._feed = MemoryFeed()
        self._feed.on_update(self._hear)
        self._feed.on_cut(self.board.cut)
        self._seq = self._now_ms = 0
        self._publish(
            MarketUpdate(**{**FIELDS, "first_seq": 1, "last_seq": 0, "first_u": 1, "last_u": 0}, snapshot=True)
        )

    def happen(self, levels: list[tuple[int, int, int]]) -> None:
        self._seq += 1
        self.engine.apply(levels, self._seq)
        places = dict.fromkeys(("first_seq", "last_seq", "first_u", "last_u", "time_ms"), self._seq)
        self._publish(MarketUpdate(**{**FIELDS, **places}, levels=tuple(levels)))

    def pass_time(self, ms: int) -> None:
        """Ends the windows of the next 100 ms, or of all until the next full second."""
        until = self._now_ms + 100 if ms == 100 else (self._now_ms // 1000 + 1) * 1000
        while self._now_ms < until:
            self._now_ms += 100
            self._feed.tick(self._now_ms)

    def _publish(self, update: MarketUpdate) -> None:
        with contextlib.suppress(StopIteration):
            self._feed.publish(Publication(updates=(update,))).send(None)

    def _hear(self, update: MarketUpdate) -> None:
        for _ in range(self._line(update)):
            self.board.apply(update)


@given(STEPS, st.integers(0, 30), st.integers(0, 30), st.sampled_from(["btcusd@depth", "btcusd@depth@100ms"]))
def test_whoever_follows_the_procedure_holds_the_engines_book(
    steps: list[Any], joins: int, waits: int, name: str
) -> None:
    venue, follower = Venue(name), Follower()
    for number, step in enumerate([*steps, 1000]):
        if number == min(joins, len(steps)):
            venue.channel.add(follower, RAW)
        if number == min(joins + waits, len(steps)):
            follower.start(venue.engine)
        if isinstance(step, int):
            venue.pass_time(step)
        else:
            venue.happen(step)
    follower.follow()
    assert follower.book == shown(venue.engine)


COPIES = st.sampled_from([1, 1, 1, 1, 0, 2])  # of an update that arrive
BAD_STEPS = st.lists(st.one_of(st.tuples(LEVELS, COPIES), st.sampled_from([100, 1000])), min_size=4, max_size=40)


@given(BAD_STEPS, st.integers(0, 5))
def test_on_a_line_that_loses_and_repeats_a_client_holds_the_book_or_learns_of_the_gap(
    steps: list[Any], joins: int
) -> None:
    arriving = [1]
    venue, follower = Venue("btcusd@depth@100ms", lambda update: arriving[-1]), Closable()
    for number, step in enumerate([*steps, ([(BUY, 1, 1)], 1), 1000]):
        if number == min(joins, len(steps)):
            venue.channel.add(follower, RAW)
            follower.start(venue.engine)
        if isinstance(step, int):
            venue.pass_time(step)
        else:
            levels, copies = step
            arriving.append(copies)
            venue.happen(levels)
    with contextlib.suppress(Gap):
        follower.follow()
        assert follower.is_closed or follower.book == shown(venue.engine)
