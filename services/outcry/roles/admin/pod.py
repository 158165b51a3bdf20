"""What a pod without partitions answers on its admin port: how loaded it is, and a drain where it has clients."""

from collections.abc import Callable, Sequence

from outcry.ports import Clock
from outcry.roles.admin.port import Asked, Identity, Route, Told

Gauge = Callable[[], int]
Drain = Callable[[bool], None]  # True: begin, False: end


class PodAdmin:
    """The calls of one pod; give ``routes`` to an AdminPort. Without ``on_drain`` it cannot be drained."""

    def __init__(
        self, identity: Identity, clock: Clock, *, connections: Gauge, queue_depth: Gauge, on_drain: Drain | None = None
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._connections = connections
        self._queue_depth = queue_depth
        self._on_drain = on_drain
        self.draining_since_ms = 0  # 0: it is not

    @property
    def routes(self) -> Sequence[Route]:
        drains = (Route("POST", "/v1/drain", self.drain), Route("DELETE", "/v1/drain", self.stay))
        return (Route("GET", "/v1/status", self.status), *(drains if self._on_drain else ()))

    def status(self, asked: Asked) -> Told:
        return Told(
            {
                **self._identity._asdict(),
                "draining_since_ms": self.draining_since_ms or None,
                "connections": self._connections(),
                "queue_depth": self._queue_depth(),
            }
        )

    def drain(self, asked: Asked) -> Told:
        """Takes nothing new and gives up what it holds; asked again it only tells what remains."""
        if not self.draining_since_ms and self._on_drain is not None:
            self.draining_since_ms = self._clock.now_ms()
            self._on_drain(True)
        return self._left()

    def stay(self, asked: Asked) -> Told:
        if self.draining_since_ms and self._on_drain is not None:
            self.draining_since_ms = 0
            self._on_drain(False)
        return self._left()

    def _left(self) -> Told:
        return Told({"draining_since_ms": self.draining_since_ms or None, "connections": self._connections()})
