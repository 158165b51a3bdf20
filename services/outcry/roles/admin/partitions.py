"""What people do to a partition: stop it, let it go on, and have it pass over a command that two of them agree on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from outcry.codec import BadFrame, decode_frame
from outcry.ports import APPROVERS, Interventions, Journal
from outcry.roles.admin import rules
from outcry.roles.admin.rules import Refused
from outcry.rows import PartitionRow

MAX_SHOWN: Final = 200  # characters of a command

Result = dict[str, Any]


class PartitionLedger(Interventions, Protocol):
    """What these verbs ask of the ledger."""

    async def partitions(self) -> list[PartitionRow]: ...


class PartitionVerbs:
    """``verbs`` by name, for Admin."""

    def __init__(self, ledger: PartitionLedger, journal: Journal) -> None:
        self._ledger = ledger
        self._journal = journal
        self.verbs: dict[str, Callable[[Mapping[str, Any]], Awaitable[Result]]] = {
            "partitions.list": self._list,
            "partitions.halt": self._halt,
            "partitions.resume": self._resume,
            "partitions.commands": self._commands,
            "partitions.skip": self._skip,
        }

    async def _list(self, params: Mapping[str, Any]) -> Result:
        return {
            "rows": [
                {
                    "partition": row.part,
                    "status": row.status,
                    "offset": row.next_offset,
                    "reason": row.halt_reason or "",
                }
                for row in sorted(await self._ledger.partitions())
            ]
        }

    async def _halt(self, params: Mapping[str, Any]) -> Result:
        row = await self._partition(params)
        reason = f"{rules.reason(params['reason'])} ({params['actor']})"
        if not await self._ledger.halt_partition(row.part, reason, params["actor"]):
            raise Refused(f"Partition {row.part} is halted already: {row.halt_reason or 'no reason is known'}.")
        return {"partition": row.part, "status": "HALT", "reason": reason}

    async def _resume(self, params: Mapping[str, Any]) -> Result:
        row = await self._partition(params)
        if not await self._ledger.resume_partition(row.part, params["actor"]):
            raise Refused(f"Partition {row.part} is not halted.")
        return {"partition": row.part, "status": "RUN"}

    async def _commands(self, params: Mapping[str, Any]) -> Result:
        """The commands of one record, so that people see what they would have passed over."""
        row = await self._partition(params)
        offset = params.get("offset", row.next_offset)
        return {
            "rows": [
                {"offset": offset, "index": index, "command": text}
                for index, text in enumerate(await self._record(row.part, offset))
            ]
        }

    async def _skip(self, params: Mapping[str, Any]) -> Result:
        row = await self._partition(params)
        commands = await self._record(row.part, params["offset"])
        index = rules.whole(params["index"], "INDEX", 0, len(commands) - 1)
        place = (row.part, params["offset"], index)
        approved = await self._ledger.approve_skip(place, rules.reason(params["reason"]), params["actor"])
        if not approved:
            raise Refused(
                f"Partition {row.part} is {row.status} and stands at {row.next_offset}. Only a command that a "
                "halted partition has not applied can be passed over."
            )
        left = APPROVERS - len(approved)
        return {
            "partition": row.part,
            "offset": params["offset"],
            "index": index,
            "command": commands[index],
            "approved_by": ", ".join(approved),
            "state": f"passed over when partition {row.part} resumes" if left <= 0 else f"needs {left} more approval",
        }

    async def _partition(self, params: Mapping[str, Any]) -> PartitionRow:
        rows = {row.part: row for row in await self._ledger.partitions()}
        if params["partition"] not in rows:
            raise Refused(f"There is no partition {params['partition']}. Known: {', '.join(map(str, sorted(rows)))}.")
        return rows[params["partition"]]

    async def _record(self, part: int, offset: int) -> list[str]:
        """The commands of a record as texts. Raises Refused."""
        first, end = (
            (await self._journal.first_offsets()).get(part, 0),
            (await self._journal.end_offsets()).get(part, 0),
        )
        if not first <= offset < end:
            raise Refused(f"The journal of partition {part} has records {first} to {end - 1}, not {offset}.")
        (record,) = await self._journal.read({part: offset}, 1, 0)
        try:
            return [str(command)[:MAX_SHOWN] for command in decode_frame(record.frame).commands]
        except BadFrame as problem:
            raise Refused(
                f"Record {offset} cannot be read ({problem}), so the engine leaves it out by itself."
            ) from None
