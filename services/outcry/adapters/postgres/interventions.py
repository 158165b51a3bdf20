"""A person stops a partition, lets it go on, or has it pass over a command; each act stands in the audit log."""

from typing import Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.lease import CHANNEL, TELL
from outcry.ports import APPROVE_SKIP, APPROVERS, skip_place

HALT: Final = """
UPDATE engine_partition SET status = 'HALT', halt_reason = $3
 WHERE topic = $1 AND part = $2 AND status = 'RUN' RETURNING part"""
RESUME: Final = """
UPDATE engine_partition SET status = 'RUN', halt_reason = NULL
 WHERE topic = $1 AND part = $2 AND status = 'HALT' RETURNING part"""
STANDS: Final = """
SELECT 1 FROM engine_partition
 WHERE topic = $1 AND part = $2 AND status = 'HALT' AND next_offset <= $3 FOR UPDATE"""
NOTE: Final = """
INSERT INTO audit (time_ms, actor, action, subject, detail) VALUES (outcry_now_ms(), $1, $2, $3, $4)"""
APPROVED: Final = "SELECT DISTINCT actor FROM audit WHERE action = $1 AND subject = $2 ORDER BY actor"
SKIP: Final = """
INSERT INTO engine_skip (part, log_offset, idx, reason, approved_by) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING"""


class InterventionBook(Book):
    """Keeps ``ports.Interventions``."""

    async def halt_partition(self, part: int, reason: str, actor: str) -> bool:
        return await self._change(HALT, (part, reason), (actor, "halt partition", str(part), reason))

    async def resume_partition(self, part: int, actor: str) -> bool:
        return await self._change(RESUME, (part,), (actor, "resume partition", str(part), ""))

    async def approve_skip(self, place: tuple[int, int, int], reason: str, actor: str) -> list[str]:
        part, offset, index = place
        async with self._database.transaction() as connection:
            if await connection.fetchval(STANDS, self._database.topic, part, offset) is None:
                return []
            await connection.execute(NOTE, actor, APPROVE_SKIP, skip_place(place), reason)
            rows = await connection.fetch(APPROVED, APPROVE_SKIP, skip_place(place))
            actors = [row["actor"] for row in rows]
            if len(actors) >= APPROVERS:
                await connection.execute(SKIP, part, offset, index, reason, ", ".join(actors))
            return actors

    async def _change(self, statement: str, values: tuple[object, ...], told: tuple[str, str, str, str]) -> bool:
        """Changes a partition's status, with its audit row; False when it is not in the status to leave."""
        async with self._database.transaction() as connection:
            done = await connection.fetchval(statement, self._database.topic, *values) is not None
            if done:
                await connection.execute(NOTE, *told)
                await connection.execute(TELL, CHANNEL, told[2])
            return done
