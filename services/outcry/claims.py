"""What the api claims of the ledger before it journals: holds and idempotency keys, and what it is told."""

from typing import NamedTuple


class HoldRequest(NamedTuple):
    """Asks for a hold. Requests of one ``group`` stand together and get theirs together or not at all (OCO)."""

    part: int
    account_id: int
    symbol_id: int
    asset_id: int
    amount: int  # minor units; 0 is a row without money
    client_order_id: str
    window_ms: int
    body: bytes
    group: int
    in_list: bool = False


class KeyClaim(NamedTuple):
    """An Idempotency-Key claimed together with the hold of ``group``, by a request that calls itself ``claimant``.

    A group that ``follows`` does not claim the key: it gets its hold only while the key is still its claimant's.
    """

    group: int
    account_id: int
    key: str
    payload_sha256: bytes
    claimant: str = ""
    follows: bool = False


HELD = "held"
SHORT = "short"  # the account's sum does not fit; wait for the next fold, then try once
DUPLICATE = "duplicate"  # the client order id is taken by an open order
KEY_MISMATCH = "key_mismatch"  # 422
KEY_IN_PROGRESS = "key_in_progress"  # 409
KEY_REPLAY = "key_replay"  # ``response`` holds the stored answer
KEY_TAKEN = (KEY_MISMATCH, KEY_IN_PROGRESS, KEY_REPLAY)
KEY_LOST = "key_lost"  # to a group that follows: the key is not its claimant's, or not any more


class HoldResult(NamedTuple):
    """One answer per request, in the order of the requests."""

    status: str
    order_id: int = 0
    intake_ms: int = 0
    valid_until_ms: int = 0
    list_id: int = -1
    response: bytes = b""
