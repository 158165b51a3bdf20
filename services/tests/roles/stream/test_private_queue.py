"""What is waiting for a client of private events is bounded, and nothing of it is ever left out."""

from outcry.roles.stream.userdata import MAX_WAITING_EVENTS, Subscription


class Socket:
    """A client whose unsent bytes the test sets."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiting_bytes = 0
        self.given_up = False

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    def give_up(self) -> None:
        self.given_up = True

    def close(self, code: int, reason: str) -> None:
        self.given_up = True


def test_a_client_that_lets_too_many_events_wait_is_closed() -> None:
    socket = Socket()
    subscription = Subscription(1, socket)
    socket.waiting_bytes = 1
    for _ in range(MAX_WAITING_EVENTS):
        subscription.tell({"e": "executionReport"})
    assert not socket.given_up
    subscription.tell({"e": "executionReport"})
    assert socket.given_up
    assert len(socket.frames) == MAX_WAITING_EVENTS


def test_a_client_that_takes_all_now_and_then_may_have_as_many_events_as_there_are() -> None:
    socket = Socket()
    subscription = Subscription(1, socket)
    for number in range(3 * MAX_WAITING_EVENTS):
        socket.waiting_bytes = number % (MAX_WAITING_EVENTS - 1)
        subscription.tell({"e": "executionReport"})
    assert not socket.given_up
    assert len(socket.frames) == 3 * MAX_WAITING_EVENTS
