"""What each role needs in order to work with a login of its own, found by running a cluster that way."""

from outcry.adapters.postgres.scripts import run_scripts

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_scripts("0005_grants.sql")
