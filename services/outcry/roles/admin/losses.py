"""A way on for a partition whose log has lost records: what is missing is given up, as two people agree.

The partition is placed where nothing is missing any more. What was journaled before that place and not applied never
happens: log time passes the bounds of its orders, and they are voided with their holds like any order that never came.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from outcry.codec import TICK_FRAME, encode_state
from outcry.ports import APPROVERS, Clock, Journal
from outcry.roles.admin import rules
from outcry.roles.admin.rules import Refused
from outcry.roles.engine.session import record_hash
from outcry.rows import Checkpoint, PartitionRow, PartState

# Records of the lost log that a process may have read ahead, or applied without a commit: no place among their offsets
# is used again, so that none of them can be taken for a record of the new log.
READ_AHEAD: Final = 10_000
FILLED_AT_ONCE: Final = 2_000  # records

Progress = Callable[[str], None]


class Loss(NamedTuple):
    """Records [from_offset, to_offset) of a partition: not all of them are in the log. ``why`` in words."""

    part: int
    from_offset: int
    to_offset: int
    why: str

    @property
    def place(self) -> str:
        """What an approval is about."""
        return f"{self.part}/{self.from_offset}/{self.to_offset}"


class Log(NamedTuple):
    """A partition's log as it is now, and whether it is another one than was applied, or has another record last."""

    first: int
    end: int
    is_another: bool = False
    is_changed: bool = False


class LossLedger(Protocol):
    """What giving up records asks of the ledger."""

    async def partitions(self) -> list[PartitionRow]: ...
    async def load(self, part: int) -> PartState: ...
    async def applied_topic(self, part: int) -> str:
        """The id of the topic whose records were applied; "" where none was noted."""

    async def without_outcome(self, part: int) -> int:
        """How many orders are held whose record was not applied."""

    async def approve_loss(self, place: str, reason: str, actor: str) -> list[str]:
        """Notes an approval; returns who has approved by now."""

    async def go_on_behind(self, was: PartitionRow, state: Checkpoint, topic_id: str, told: tuple[str, str]) -> bool:
        """Places a halted partition in the topic, at the offset of ``state``, its only checkpoint from now on.

        Whoever owned it owns it no more. ``told``: who did it and why, for the audit log. False, and nothing changes,
        where the partition is not as it was.
        """


async def look(ledger: LossLedger, journal: Journal, topic_id: str, part: int) -> Loss:
    """What a partition's log has lost. Raises Refused where it has lost nothing, or the partition is not halted."""
    row = {each.part: each for each in await ledger.partitions()}.get(part)
    if row is None or row.status != "HALT":
        raise Refused(f"Partition {part} is not halted: nothing is given up of one that goes on, or is not there.")
    log = Log((await journal.first_offsets()).get(part, 0), (await journal.end_offsets()).get(part, 0))
    if await ledger.applied_topic(part) not in ("", topic_id):
        log = log._replace(is_another=True)
    elif log.first < row.next_offset <= log.end and row.tail_hash:
        (tail,) = await journal.read({part: row.next_offset - 1}, 1, 0)
        log = log._replace(is_changed=record_hash(tail) != row.tail_hash)
    found = loss_of(row, log)
    if found is None:
        raise Refused(
            f"The journal of partition {part} has records {log.first} to {log.end - 1}, and the partition stands at"
            f" {row.next_offset}: nothing is missing. Look for another cause; `outcry resume {part}` lets it go on."
        )
    return found


def loss_of(row: PartitionRow, log: Log) -> Loss | None:
    """What is missing of a log at the partition's place and behind it, and where nothing is any more."""
    due = row.next_offset
    if log.is_another:
        why = "the topic was made anew: its records are not those that were to come"
    elif log.end < due:
        why = f"the log ends before record {log.end}, but {due - 1} was applied"
    elif log.is_changed:
        why = f"record {due - 1} is not the one that was applied"
    elif log.first > due:
        return Loss(row.part, due, log.first, f"the log begins at record {log.first}")
    else:
        return None
    return Loss(row.part, due, max(due + READ_AHEAD, log.end), why)


class Losses:
    """``act`` shows what one partition's log has lost, or gives it up once two people approved."""

    def __init__(
        self, ledger: LossLedger, journal: Journal, *, topic_id: str, clock: Clock, progress: Progress
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._journal = journal
        self._topic_id = topic_id
        self._clock = clock
        self._progress = progress

    async def act(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Refused, OutOfService, OutcomeUnknown: whatever is raised, it may be done once more."""
        loss = await look(self._ledger, self._journal, self._topic_id, params["partition"])
        told = {
            "partition": loss.part,
            "cause": loss.why,
            "given_up": f"records {loss.from_offset} to {loss.to_offset - 1}",
            "orders_without_outcome": await self._ledger.without_outcome(loss.part),
        }
        if not params["approve"]:
            return told | {"state": f"needs {APPROVERS} approvals: --approve --reason TEXT"}
        reason = rules.reason(params["reason"])
        approved = await self._ledger.approve_loss(loss.place, reason, params["actor"])
        told["approved_by"] = ", ".join(approved)
        if len(approved) < APPROVERS:
            return told | {"state": f"needs {APPROVERS - len(approved)} more approval"}
        await self._give_up(loss, params["actor"], reason)
        return told | {"state": f"goes on at record {loss.to_offset} when partition {loss.part} resumes"}

    async def _give_up(self, loss: Loss, actor: str, reason: str) -> None:
        """First the log, then the ledger: between the two the partition is halted as before."""
        await self._fill(loss)
        await self._journal.trim(loss.part, loss.to_offset)  # nothing before it proves anything about what was applied
        state = await self._ledger.load(loss.part)
        if state.row.next_offset != loss.from_offset:
            raise Refused(f"Partition {loss.part} has moved meanwhile: look again.")
        told = (actor, f"records {loss.from_offset} to {loss.to_offset - 1}: {loss.why}; {reason}")
        checkpoint = begin_at(loss.to_offset, state, self._clock.now_ms())
        if not await self._ledger.go_on_behind(state.row, checkpoint, self._topic_id, told):
            raise Refused(f"Partition {loss.part} has changed meanwhile: look again.")

    async def _fill(self, loss: Loss) -> None:
        """Makes the log as long as it has to be, with records that mean nothing: offsets never go back."""
        end = (await self._journal.end_offsets()).get(loss.part, 0)
        while end < loss.to_offset:
            self._progress(f"partition {loss.part}: filling the log from record {end} to {loss.to_offset}")
            count = min(FILLED_AT_ONCE, loss.to_offset - end)
            end = (await self._journal.append([(loss.part, TICK_FRAME)] * count))[-1] + 1


def begin_at(offset: int, state: PartState, now_ms: int) -> Checkpoint:
    """The same state at a later offset, before which nothing of the log counts."""
    row = state.row._replace(next_offset=offset, tail_hash=b"")
    return Checkpoint(
        row.part, offset, row.log_time, row.event_seq, row.state_hash, row.log_hash,
        encode_state(state._replace(row=row)), now_ms,
    )  # fmt: skip
