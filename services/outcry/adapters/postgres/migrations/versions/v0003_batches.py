"""The rows of a batch as types, so that a whole commit is one statement with one array for each kind of row."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_scripts("0003_batches.sql")
