"""What a verification reads: rows by their place in the log, and all money at one moment."""

import sqlite3

import msgspec

from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.rowtext import PREVENTED, read_ids, read_prevented
from outcry.rows import Money, PostingRow, PreventedRow

MAX_STRAYS = 100  # reported at once

# The second half are postings that are committed and not folded yet.
BALANCES = """
SELECT json_group_array(json_array(account_id, asset_id, free, held)) FROM (
  SELECT account_id, asset_id, sum(free) AS free, sum(held) AS held FROM (
    SELECT account_id, asset_id, free, held FROM balances
    UNION ALL
    SELECT account_id, asset_id, free_delta, held_delta FROM engine_partition AS e CROSS JOIN postings AS p
        ON p.part = e.part AND p.log_offset >= coalesce((SELECT log_offset FROM folded WHERE folded.part = e.part), 0)
  ) GROUP BY account_id, asset_id ORDER BY account_id, asset_id
)
"""
NEEDS = """
SELECT json_group_array(json_array(account_id, asset_id, held)) FROM (
  SELECT account_id, asset_id, sum(held) AS held FROM (
    SELECT i.account_id, i.asset_id, o.held FROM orders AS o JOIN intake AS i USING (order_id) WHERE o.open = 1
    UNION ALL
    SELECT account_id, asset_id, held FROM intake WHERE applied_offset IS NULL
  ) GROUP BY account_id, asset_id HAVING sum(held) <> 0 ORDER BY account_id, asset_id
)
"""
TRANSFERS = """
SELECT json_group_array(json_array(asset_id, amount)) FROM (
  SELECT asset_id, sum(amount) AS amount FROM transfers GROUP BY asset_id ORDER BY asset_id
)
"""
STRAYS = """
SELECT json_group_array(order_id) FROM (
  SELECT order_id FROM orders AS o WHERE open = 1
     AND NOT EXISTS (SELECT 1 FROM intake AS i WHERE i.order_id = o.order_id AND i.open = 1 AND i.applied_offset >= 0)
  UNION
  SELECT order_id FROM intake AS i WHERE open = 1 AND applied_offset IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.order_id = i.order_id AND o.open = 1)
  ORDER BY order_id LIMIT ?
)
"""
POSTINGS = (
    f"SELECT {','.join(PostingRow._fields)} FROM postings"
    " WHERE part = ? AND log_offset >= ? AND log_offset < ? ORDER BY log_offset, idx"
)
PREVENTIONS = as_json(
    PREVENTED, "FROM prevented WHERE symbol_id = ? AND prevented_id BETWEEN ? AND ? ORDER BY prevented_id"
)

read_balances = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode
read_needs = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
read_transfers = msgspec.json.Decoder(list[tuple[int, int]]).decode


class EvidenceBook(OnFile):
    """Keeps ``roles.engine.verify.EvidenceLedger`` with what the other books lack."""

    async def money(self) -> Money:
        """Everybody's money, from one snapshot."""
        return await self._reader.ask(_money)

    async def postings(self, part: int, from_offset: int, to_offset: int) -> list[PostingRow]:
        """Postings of a stretch of a partition's log, in order."""
        return await self._reader.ask(
            lambda db: [PostingRow(*row) for row in db.execute(POSTINGS, (part, from_offset, to_offset)).fetchall()]
        )

    async def preventions(self, symbol_id: int, first_id: int, last_id: int) -> list[PreventedRow]:
        """Matches that self-trade prevention stopped, by id, both ends included."""
        return await self._reader.ask(
            lambda db: read_prevented(db.execute(PREVENTIONS, (symbol_id, first_id, last_id)).fetchone()[0])
        )


def _money(db: sqlite3.Connection) -> Money:
    return Money(
        read_balances(db.execute(BALANCES).fetchone()[0]),
        read_needs(db.execute(NEEDS).fetchone()[0]),
        read_transfers(db.execute(TRANSFERS).fetchone()[0]),
        read_ids(db.execute(STRAYS, (MAX_STRAYS,)).fetchone()[0]),
    )
