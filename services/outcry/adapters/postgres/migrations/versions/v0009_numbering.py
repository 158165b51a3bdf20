"""Ids of orders and lists that a lost server gave out are never given out again by the one in its place."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_scripts("0009_numbering.sql")
