"""Partitions that go on behind records that their log has lost."""

from typing import Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.interventions import APPROVED, NOTE
from outcry.adapters.postgres.lease import CHANNEL, NO_OWNER, TELL
from outcry.adapters.postgres.results import PUT_CHECKPOINT
from outcry.rows import Checkpoint, PartitionRow

APPROVE_LOSS: Final = "approve loss"  # the acts in the audit log
GIVE_UP: Final = "give up records"

APPLIED_TOPIC: Final = "SELECT coalesce(topic_id::text, '') FROM engine_partition WHERE topic = $1 AND part = $2"
WITHOUT_OUTCOME: Final = "SELECT count(*) FROM intake WHERE part = $1 AND applied_offset IS NULL"
# The new epoch fences whoever owned it: a batch of lost records that was on its way is refused.
GO_ON: Final = f"""
UPDATE engine_partition
   SET next_offset = $5, topic_id = $6::uuid, tail_hash = '', epoch = epoch + 1, owner = NULL, {NO_OWNER},
       lease_until = 0,
       halt_reason = 'lost records are given up: it goes on when it is resumed'
 WHERE topic = $1 AND part = $2 AND epoch = $3 AND next_offset = $4 AND status = 'HALT' RETURNING part"""
FORGET: Final = "DELETE FROM checkpoints WHERE part = $1"


class LossBook(Book):
    """Keeps ``roles.admin.losses.LossLedger`` beside what the ledger has anyway."""

    async def applied_topic(self, part: int) -> str:
        rows = await self._database.fetch(APPLIED_TOPIC, self._database.topic, part)
        return str(rows[0][0]) if rows else ""

    async def without_outcome(self, part: int) -> int:
        return int((await self._database.fetch(WITHOUT_OUTCOME, part))[0][0])

    async def approve_loss(self, place: str, reason: str, actor: str) -> list[str]:
        async with self._database.transaction() as connection:
            await connection.execute(NOTE, actor, APPROVE_LOSS, place, reason)
            return [row["actor"] for row in await connection.fetch(APPROVED, APPROVE_LOSS, place)]

    async def go_on_behind(self, was: PartitionRow, state: Checkpoint, topic_id: str, told: tuple[str, str]) -> bool:
        place = (self._database.topic, was.part, was.epoch, was.next_offset)
        async with self._database.transaction() as connection:
            if await connection.fetchval(GO_ON, *place, state.next_offset, topic_id) is None:
                return False
            await connection.execute(FORGET, was.part)
            await PUT_CHECKPOINT.run(connection, [state])
            await connection.execute(NOTE, told[0], GIVE_UP, str(was.part), told[1])
            await connection.execute(TELL, CHANNEL, str(was.part))
        return True
