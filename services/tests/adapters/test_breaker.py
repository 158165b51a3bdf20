"""The circuit breaker: opens after failures in a row, refuses at once, tries again with one call."""

import pytest

from outcry.adapters.breaker import MAX_FAILURES, REST_SECONDS, Breaker
from outcry.ports import Damaged, OutcomeUnknown, OutOfService


class Bench:
    """A breaker, the time it reads, and what its watcher was told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[tuple[str, bool]] = []
        self.breaker = Breaker("database", lambda *change: self.told.append(change), lambda: self.now)

    def fail(self, times: int = 1, trouble: type[Exception] = OutOfService) -> None:
        for _ in range(times):
            with pytest.raises(trouble, match="no answer"), self.breaker.attempt():
                raise trouble("no answer")

    def succeed(self) -> None:
        with self.breaker.attempt():
            pass

    def is_refused(self) -> bool:
        try:
            self.succeed()
        except OutOfService as refusal:
            assert "The database failed again and again" in str(refusal)
            return True
        return False


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_opens_after_failures_in_a_row(bench: Bench) -> None:
    bench.fail(MAX_FAILURES - 1)
    bench.succeed()
    bench.fail(MAX_FAILURES - 1, OutcomeUnknown)
    assert not bench.breaker.is_open
    bench.fail()
    assert bench.breaker.is_open and bench.is_refused()
    assert bench.told == [("database", True)]


def test_after_a_rest_one_call_tries_and_its_success_closes_it(bench: Bench) -> None:
    bench.fail(MAX_FAILURES)
    bench.now += REST_SECONDS
    with bench.breaker.attempt():
        assert bench.is_refused()
    assert not bench.breaker.is_open and not bench.is_refused()
    assert bench.told == [("database", True), ("database", False)]
    bench.fail(MAX_FAILURES - 1)
    assert not bench.breaker.is_open


def test_a_probe_that_fails_opens_it_for_another_rest(bench: Bench) -> None:
    bench.fail(MAX_FAILURES)
    bench.now += REST_SECONDS
    bench.fail()
    assert bench.is_refused()
    bench.now += REST_SECONDS
    assert not bench.is_refused()


def test_calls_that_began_before_it_opened_change_nothing_when_they_fail(bench: Bench) -> None:
    with pytest.raises(OutOfService, match="too late"), bench.breaker.attempt():
        bench.fail(MAX_FAILURES)
        bench.now += REST_SECONDS / 2
        raise OutOfService("too late")
    bench.now += REST_SECONDS / 2
    assert not bench.is_refused()


@pytest.mark.parametrize("trouble", [Damaged, ValueError])
def test_what_the_component_itself_answers_is_no_failure(bench: Bench, trouble: type[Exception]) -> None:
    bench.fail(2 * MAX_FAILURES, trouble)
    assert not bench.breaker.is_open


def test_a_probe_without_a_verdict_leaves_the_next_call_to_try(bench: Bench) -> None:
    bench.fail(MAX_FAILURES)
    bench.now += REST_SECONDS
    bench.fail(1, Damaged)
    assert bench.breaker.is_open
    assert not bench.is_refused()
