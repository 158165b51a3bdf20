"""One step of a session, or one batch of it: whatever goes wrong there concerns one partition alone."""

import logging

from outcry.feedcodec import encode_publication
from outcry.ports import Publication
from outcry.roles.engine.session import Session
from outcry.rows import PartBatch, Record

log = logging.getLogger(__name__)


def supervise_step(session: Session, record: Record | None) -> str:
    """Applies a record, or lets waiting stops in; returns what went wrong, which is a bug of ours or a broken log."""
    try:
        if record is None:
            session.resume()
        else:
            session.apply(record)
        return ""
    except Exception as bug:
        log.exception("Partition %d fails at record %d.", session.part, session.next_offset)
        return f"record {session.next_offset}: {type(bug).__name__}: {bug}"


def with_told(pieces: tuple[PartBatch, Publication]) -> tuple[PartBatch, Publication]:
    """The batch with what it tells the world in public and in private: answers are read from the rows instead."""
    batch, publication = pieces
    if not (publication.updates or publication.executions):
        return pieces
    kept = Publication(updates=publication.updates, executions=publication.executions)
    return batch._replace(told=encode_publication(kept)), publication


def supervise_taking(session: Session) -> tuple[PartBatch, Publication] | str:
    """The session's batch, or what is wrong with it."""
    try:
        return session.take()
    except Exception as bug:
        log.exception("Partition %d makes no sound batch at record %d.", session.part, session.next_offset)
        return f"before record {session.next_offset}: {type(bug).__name__}: {bug}"
