"""What the engine remembers of order ids is enough, and no more than that."""

from hypothesis import given
from hypothesis import strategies as st

from outcry.market.commands import CancelAll, CancelOrder
from outcry.roles.engine.window import MAX_WAITING, Marks, Overtaker, Waiting, Window


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20_000)), max_size=40), st.integers(0, 30_000))
def test_an_id_is_known_until_its_bound_has_passed_and_not_for_long_after(
    applied: list[tuple[int, int]], now_ms: int
) -> None:
    bounds = dict(applied)
    window = Window(bounds.items())
    window.forget(now_ms)
    for order_id, bound in bounds.items():
        if bound >= now_ms:
            assert order_id in window
        if bound < now_ms - 1024:
            assert order_id not in window
    assert len(window) == sum(order_id in window for order_id in bounds)


def test_a_mark_works_once() -> None:
    marks = Marks([7], log_time=0)
    assert marks.add(8, 100, log_time=0)
    assert not marks.add(8, 100, log_time=0)
    assert marks.arrived(7) and marks.arrived(8)
    assert not marks.arrived(7) and not marks.arrived(8)


def test_marks_whose_orders_can_no_longer_come_are_dropped() -> None:
    marks = Marks([], log_time=0)
    for order_id in range(1_000):
        marks.add(order_id, order_id, log_time=order_id)
    assert len(marks) < 100


def cancel(command_id: int, order_id: int, until_ms: int) -> Overtaker:
    command = CancelOrder(
        command_id=command_id, symbol_id=1, account=1, order_id=order_id, target_valid_until_ms=until_ms
    )
    return Overtaker(command, [(order_id, until_ms)])


def cancel_all(command_id: int, *targets: tuple[int, int]) -> Overtaker:
    return Overtaker(CancelAll(command_id=command_id, symbol_id=1, account=1, targets=targets), targets)


def ids(cancels: list[Overtaker]) -> list[int]:
    return [each.command.command_id for each in cancels]


def test_waiting_cancels_come_back_in_order_and_once() -> None:
    waiting = Waiting()
    for command_id in (1, 0, 2):
        waiting.add(cancel(command_id, 5, 100), log_time=0)
    assert ids(waiting.pop(5)) == [1, 2]
    assert waiting.pop(5) == []


def test_a_cancel_of_all_waits_for_each_of_its_orders() -> None:
    waiting = Waiting()
    both = cancel_all(1, (5, 100), (6, 100))
    waiting.add(both, log_time=0)
    waiting.add(cancel(2, 6, 100), log_time=0)
    assert (ids(waiting.pop(6)), list(both.coming)) == ([1, 2], [5])
    assert (ids(waiting.pop(5)), both.coming) == ([1], {})


def test_no_more_cancels_wait_than_there_is_room_for() -> None:
    waiting = Waiting()
    for number in range(1, MAX_WAITING + 3):
        waiting.add(cancel(number, number, until_ms=50), log_time=0)
    assert waiting.pop(MAX_WAITING + 1) == []
    waiting.add(cancel(1, 1 << 40, until_ms=200), log_time=100)
    assert len(waiting.pop(1 << 40)) == 1
    assert waiting.pop(1) == []


def test_an_order_named_twice_takes_one_place() -> None:
    waiting = Waiting()
    for number in range(1, MAX_WAITING + 1):
        waiting.add(cancel_all(number, (5, 50), (5, 50)), log_time=0)
    assert len(waiting.pop(5)) == MAX_WAITING
    waiting.add(cancel_all(1, *((number, 50) for number in range(MAX_WAITING))), log_time=0)
    assert len(waiting.pop(0)) == 1


def test_a_cancel_that_some_orders_can_no_longer_answer_is_never_complete() -> None:
    waiting = Waiting()
    both = cancel_all(1, (5, 50), (6, 200))
    waiting.add(both, log_time=0)
    waiting.add(cancel_all(2, *((number, 200) for number in range(100, 99 + MAX_WAITING))), log_time=100)
    assert (ids(waiting.pop(6)), list(both.coming)) == ([1], [5])
    assert ids(waiting.pop(100)) == [2]
