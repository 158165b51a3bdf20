"""Orders that are given up before they reach the market are noted, so that the streams can tell their accounts."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_scripts("0008_voided.sql")
