"""The cluster's ledger and leases on PostgreSQL 15 or newer."""

from outcry.adapters.postgres.store import PgStore

__all__ = ["PgStore"]
