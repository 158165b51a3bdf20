"""The newest records of one partition's log, kept in memory within bounds."""

from outcry.rows import Record

MAX_RECORDS = 4096
MAX_BYTES = 8 << 20


class Tail:
    """A run of records without holes from ``first`` up to ``end``."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._records: list[Record] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        """The offset that comes next."""
        return self.first + len(self._records)

    def add(self, record: Record) -> None:
        """Takes the next record; when a bound is passed, forgets the older half."""
        self._records.append(record)
        self._bytes += len(record.frame)
        if len(self._records) > MAX_RECORDS or self._bytes > MAX_BYTES:
            gone = (len(self._records) + 1) // 2
            self._bytes -= sum(len(old.frame) for old in self._records[:gone])
            del self._records[:gone]
            self.first += gone

    def records(self, offset: int, limit: int) -> list[Record]:
        start = offset - self.first
        return self._records[start : start + limit]
