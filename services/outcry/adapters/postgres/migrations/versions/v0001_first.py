"""The first schema, and the roles that may use it."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_scripts("0001_first.sql", "0001_roles.sql")
