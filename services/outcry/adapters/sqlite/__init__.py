"""The embedded exchange's journal, ledger and lease in one SQLite file."""

from outcry.adapters.sqlite.lock import InUse
from outcry.adapters.sqlite.store import Store

__all__ = ["InUse", "Store"]
