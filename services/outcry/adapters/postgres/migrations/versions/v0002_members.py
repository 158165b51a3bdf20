"""What engines tell each other: whether they are ready, what they offer, and of what they hold copies."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE engine_member ADD ready boolean NOT NULL DEFAULT false,"
        " ADD offers text NOT NULL DEFAULT '[]',"  # JSON: [[partition, pod], ...]
        " ADD copies int[] NOT NULL DEFAULT '{}'"
    )
