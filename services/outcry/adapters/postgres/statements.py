"""The longer statements of the ledger on PostgreSQL."""

from outcry.adapters.statements import Statements

statement = Statements("outcry.adapters.postgres")
query = Statements("outcry.adapters.postgres", "queries.sql")
