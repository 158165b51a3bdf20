"""The law of wire-api's sequence and snapshot: whoever follows the depth procedure holds the engine's book."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from outcry.market.depth import DepthView
from outcry.market.terms import BUY, SELL
from outcry.ports import MarketUpdate
from outcry.roles.stream.board import Board
from outcry.roles.stream.channel import RAW, Channel
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.names import parse
from tests.support.prints import BTCUSD

LEVELS = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=4
)
STEPS = st.lists(st.one_of(LEVELS, st.sampled_from(["fast", "slow"])), min_size=1, max_size=60)


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
            assert event["U"] <= self.u + 1, "an update is missing"
            for side in "ba":
                for price, qty in event[side]:
                    self.book.pop((side, price), None)
                    if qty != "0.00000000":
                        self.book[(side, price)] = qty
            self.u = event["u"]


def shown(view: DepthView) -> dict[tuple[str, str], str]:
    sides = zip("ba", view.top(100), strict=True)
    return {(side, f"{p / 100:.8f}"): f"{q / 100_000:.8f}" for side, levels in sides for p, q in levels}


def update(seq: int, levels: list[tuple[int, int, int]]) -> MarketUpdate:
    return MarketUpdate(
        symbol_id=1, part=0, epoch=1, first_seq=seq, last_seq=seq, first_u=seq, last_u=seq, time_ms=seq,
        levels=tuple(levels),
    )  # fmt: skip


@given(STEPS, st.integers(0, 30), st.integers(0, 30), st.sampled_from(["btcusd@depth", "btcusd@depth@100ms"]))
def test_whoever_follows_the_procedure_holds_the_engines_book(
    steps: list[Any], joins: int, waits: int, name: str
) -> None:
    stream = parse(name)
    assert stream is not None
    channels = {name: Channel(stream)}
    board, engine, follower, seq = Board(BTCUSD, channels), DepthView(), Follower(), 0
    for number, step in enumerate([*steps, "fast", "slow"]):
        if number == min(joins, len(steps)):
            channels[name].add(follower, RAW)
        if number == min(joins + waits, len(steps)):
            follower.start(engine)
        if step == "slow":
            board.flush_fast()
            board.flush_slow()
        elif step == "fast":
            board.flush_fast()
        else:
            seq += 1
            engine.apply(step, seq)
            board.apply(update(seq, step))
    follower.follow()
    assert follower.book == shown(engine)
