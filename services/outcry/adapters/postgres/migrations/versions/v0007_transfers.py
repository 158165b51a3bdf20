"""Processes of the stream role tell whose money was moved in or out, so they may read it."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_scripts("0007_transfers.sql")
