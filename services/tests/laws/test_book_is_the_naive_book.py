"""The product's book does what the naive book does, in every session that chance can think of."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.market_life import step
from tests.support.twin_books import TwinBooks

SHORT_SESSIONS, LONG_SESSIONS = 40, 1_000
STEPS = 250  # of one seeded session


@given(st.randoms(use_true_random=False), st.sampled_from((1, 2, 1000)), st.integers(1, 60))
@settings(max_examples=150)
def test_the_book_is_the_naive_book(chance: Random, max_triggers: int, steps: int) -> None:
    twin = TwinBooks(max_triggers)
    for _ in range(steps):
        step(twin, chance)


def play(seeds: range) -> TwinBooks:
    seen = TwinBooks(1)
    for seed in seeds:
        chance = Random(seed)
        twin = TwinBooks(chance.choice((1, 2, 1000)))
        for _ in range(STEPS):
            step(twin, chance)
        seen.seen.update(twin.seen)
    return seen


def test_long_sessions_agree_and_nothing_is_left_out() -> None:
    seen = play(range(SHORT_SESSIONS)).seen
    words = ("accepted", "traded", "canceled", "expired", "amended", "replaced", "triggered", "prevented", "rejected")
    assert min(seen[word] for word in words) > SHORT_SESSIONS, seen


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_quarter_of_a_million_steps_agree() -> None:
    play(range(SHORT_SESSIONS, SHORT_SESSIONS + LONG_SESSIONS))
