"""What every part of the ledger stands on: the writer, the readers, the clock."""

from outcry.adapters.sqlite.reader import Reader
from outcry.adapters.sqlite.writer import Writer
from outcry.ports import Clock


class OnFile:
    """A part of the ledger that lives in the file."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
