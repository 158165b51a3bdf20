"""Whose request took an Idempotency-Key: only it may place more under the key; '' is nobody."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_scripts("0006_claimants.sql")
