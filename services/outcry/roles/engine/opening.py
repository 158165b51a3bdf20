"""Sessions made from stored state: whatever goes wrong there concerns one partition alone."""

import logging

from outcry.roles.engine.session import Contradiction, Session
from outcry.rows import PartState, Record

log = logging.getLogger(__name__)


def supervise_opening(state: PartState, tail: Record | None) -> Session | str:
    """A session on sound state, or why there can be none. Takes seconds for a million orders: not for the event loop.

    ``tail`` is the last applied record, where the journal still has it.
    """
    try:
        session = Session(state)
        session.check(state, tail)
        return session
    except Contradiction as found:
        return str(found)
    except Exception as bug:
        log.exception("The state of partition %d cannot be built.", state.row.part)
        return f"the stored state cannot be built: {type(bug).__name__}: {bug}"
