"""What engines told, kept beside the rows that they told of, for a feed that has lost some of it."""

from collections.abc import Sequence
from typing import Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.statements import statement
from outcry.feedcodec import decode_publication
from outcry.ports import Publication

TOLD_SINCE: Final = statement("told_since")
MAX_BATCHES: Final = 5_000  # looked at for one symbol; a gap beyond them is a book anew


class PgBacklog(Book):
    """Keeps ``ports.Backlog``."""

    async def missing(self, part: int, symbol_id: int, after_seq: int) -> Sequence[Publication]:
        rows = await self._database.fetch(TOLD_SINCE, part, MAX_BATCHES)
        told = [decode_publication(payload) for (payload,) in rows]
        return [each for each in told if any(u.symbol_id == symbol_id and u.last_seq > after_seq for u in each.updates)]
