"""A person stops a partition, lets it go on, or has it pass over a command; each act stands in the audit log."""

from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.registry import note
from outcry.adapters.sqlite.writer import Work
from outcry.ports import APPROVE_SKIP, APPROVERS, skip_place

HALT = "UPDATE engine_partition SET status = 'HALT', halt_reason = ? WHERE part = ? AND status = 'RUN'"
RESUME = "UPDATE engine_partition SET status = 'RUN', halt_reason = NULL WHERE part = ? AND status = 'HALT'"
STANDS = "SELECT 1 FROM engine_partition WHERE part = ? AND status = 'HALT' AND next_offset <= ?"
APPROVED = "SELECT DISTINCT actor FROM audit WHERE action = ? AND subject = ? ORDER BY actor"
SKIP = "INSERT INTO engine_skip VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


class InterventionBook(OnFile):
    """Keeps ``ports.Interventions``."""

    async def halt_partition(self, part: int, reason: str, actor: str) -> bool:
        def job(work: Work) -> bool:
            work.memory.forget_fences()
            done = work.db.execute(HALT, (reason, part)).rowcount == 1
            return done and note(work, actor, "halt partition", (str(part), reason))

        return await self._writer.do(job)

    async def resume_partition(self, part: int, actor: str) -> bool:
        def job(work: Work) -> bool:
            work.memory.forget_fences()
            done = work.db.execute(RESUME, (part,)).rowcount == 1
            return done and note(work, actor, "resume partition", (str(part), ""))

        return await self._writer.do(job)

    async def approve_skip(self, place: tuple[int, int, int], reason: str, actor: str) -> list[str]:
        def job(work: Work) -> list[str]:
            part, offset, index = place
            if work.db.execute(STANDS, (part, offset)).fetchone() is None:
                return []
            note(work, actor, APPROVE_SKIP, (skip_place(place), reason))
            rows = work.db.execute(APPROVED, (APPROVE_SKIP, skip_place(place))).fetchall()
            actors = [str(row[0]) for row in rows]
            if len(actors) >= APPROVERS:
                work.db.execute(SKIP, (part, offset, index, reason, ", ".join(actors)))
            return actors

        return await self._writer.do(job)
