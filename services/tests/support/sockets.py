"""The end of a client's connection, for tests of who is told what."""


class Socket:
    """Keeps what it is sent, and takes all of it at once."""

    waiting_bytes = 0

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = 0

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    def give_up(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        self.closed = code
