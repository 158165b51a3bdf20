"""What every part of the ledger stands on: the database."""

from outcry.adapters.postgres.database import Database


class Book:
    """A part of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = database.reader
