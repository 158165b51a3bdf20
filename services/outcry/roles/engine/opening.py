"""Sessions made from stored state: whatever goes wrong there concerns one partition alone."""

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Final

from outcry.roles.engine.session import Contradiction, Session
from outcry.rows import OrderRow, PartState, Record

log = logging.getLogger(__name__)

_UNDER_WAY: Final[set[int]] = set()  # partitions that are being loaded


@contextlib.contextmanager
def uncollected(part: int) -> Iterator[None]:
    """No garbage is looked for while a partition is loaded: what is made by the million then is there to stay.

    Looking through it again and again took a third of a load. Afterwards it all counts as old; what an end of the
    partition leaves is found when the old is looked through.
    """
    _UNDER_WAY.add(part)
    gc.disable()
    try:
        yield
    finally:
        _UNDER_WAY.discard(part)
        if not _UNDER_WAY:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


class Opening:
    """Builds a session while its state is read (``ports.Restoring``); some seconds for a million orders.

    ``failure`` says why there can be no session; from then on what is read is ignored.
    """

    def __init__(self) -> None:
        self.failure = ""
        self._session: Session | None = None

    def begin(self, state: PartState) -> None:
        """The state may have orders in it."""

        def build() -> None:
            self._session = Session(state)

        self._take(build)

    def go_on(self, orders: list[OrderRow]) -> None:
        """The next orders, by (symbol_id, priority_seq)."""
        if self._session is not None:
            session = self._session
            self._take(lambda: session.restore(orders))

    def check(self, state: PartState, tail: Record | None) -> Session | str:
        """The session, or why there can be none. ``tail`` is the last applied record, where the journal has it."""
        session = self._session
        if session is not None:
            self._take(lambda: session.check(state, tail))
        return self.failure or session or "nothing was read"

    def _take(self, step: Callable[[], None]) -> None:
        self.failure = self.failure or supervise_step(step)


def supervise_step(step: Callable[[], None]) -> str:
    """Takes a step; returns what went wrong."""
    try:
        step()
        return ""
    except Contradiction as found:
        return str(found)
    except Exception as bug:
        log.exception("The stored state of a partition cannot be built.")
        return f"the stored state cannot be built: {type(bug).__name__}: {bug}"
