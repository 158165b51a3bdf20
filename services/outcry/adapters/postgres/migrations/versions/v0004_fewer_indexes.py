"""Without three indexes that every posting and trade paid for.

No statement could go by the two on times: they are only read as bitmaps, which no connection that asks for times plans
with. The one by account led to an account's postings that are not folded yet; there are few of those of all accounts.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("DROP INDEX postings_by_time, trades_by_time, postings_of_account")
