"""The longer statements of the ledger in the file."""

from outcry.adapters.statements import Statements

statement = Statements("outcry.adapters.sqlite")
