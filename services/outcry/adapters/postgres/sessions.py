"""What the sessions with a database are set to, each kind as its work needs."""

from typing import Final

# A statement that waits longer than this is in trouble, and says so instead of piling up behind it. What the statements
# are given does not change how they are best carried out: each is planned once, on indexes.
_COMMON: Final = {
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "10s",
    "tcp_user_timeout": "5s",
    "client_connection_check_interval": "1s",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
SHARED_SETTINGS: Final = {
    **_COMMON, "application_name": "outcry", "enable_seqscan": "off", "enable_bitmapscan": "off",
}  # fmt: skip
# The engine's own: nobody may hold a partition's row for long.
WRITER_SETTINGS: Final = {
    **SHARED_SETTINGS, "lock_timeout": "400ms", "statement_timeout": "4s", "idle_in_transaction_session_timeout": "2s",
}  # fmt: skip
# A load reads for seconds, between statements too.
LOADER_SETTINGS: Final = {
    **SHARED_SETTINGS, "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s",
}  # fmt: skip

# Every query has an index to go along, in the order that it asks for. None is planned on the thought that it would be
# cheap to read a whole table or to sort what an account has ever done.
DETOURS: Final = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort")
READER_SETTINGS: Final = {**_COMMON, "application_name": "outcry queries", **dict.fromkeys(DETOURS, "off")}
