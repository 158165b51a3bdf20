"""Idempotency-Key: one effect and one answer per key and payload for 24 hours (wire-api.md §10)."""

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from outcry.claims import KeyClaim
from outcry.market.instrument import Instrument
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.endpoint import Call
from outcry.roles.api.errors import Refusal
from outcry.roles.api.tickets import Key, Replayed, Unsettled, taken_key

REPLAYED_HEADER = "Idempotent-Replayed"
RETRY_SECONDS = 1  # after which it is worth asking again about a request in progress
_OUTSIDE = frozenset(("timestamp", "recvWindow", "signature", "apiKey", "idempotencyKey", "returnRateLimits"))


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer as the ledger keeps it: HTTP status and body. One that is not ``final`` is given but not kept.

    Where nothing was ``entered``, everything was refused before it was written down anywhere.
    """

    status: int
    body: Any
    final: bool = True
    entered: bool = True


Work = Callable[[Key], Awaitable[StoredAnswer]]
Settled = Callable[[int], Awaitable[StoredAnswer | None]]


async def once(call: Call, name: str, work: Work, settled: Settled) -> Any:
    """Does ``work`` under the call's key, or gives the answer that the key already has.

    ``work`` returns the answer to keep. ``settled`` makes it from the first order id that was placed under the
    key, for a request whose process died before it was kept; None while that order has no outcome.
    """
    key = Key(call.idempotency_key, payload_hash(name, call.params))
    answer: StoredAnswer | None
    try:
        answer = await _attempt(call, key, work)
    except Replayed as earlier:
        call.headers[REPLAYED_HEADER] = "true"
        return _give(msgspec.json.decode(earlier.response, type=StoredAnswer))
    except Unsettled as earlier:
        answer = await settled(earlier.order_id)
        call.headers[REPLAYED_HEADER] = "true"
    if answer is None:
        text = "Request with this Idempotency-Key is in progress."
        raise Refusal(-1099, text, 409, headers={"Retry-After": str(RETRY_SECONDS)})
    if answer.final:
        # What was done was done, whether or not the answer can be kept: a retry gets it from the orders then.
        with contextlib.suppress(OutOfService, OutcomeUnknown):
            await call.venue.ledger.store_response(call.account_id, key.text, msgspec.json.encode(answer))
    return _give(answer)


async def _attempt(call: Call, key: Key, work: Work) -> StoredAnswer:
    """Does the work. What may not be placed any more may have been placed before, under this very key.

    Raises Replayed and Unsettled, as the desk does when it claims a key that is taken.
    """
    try:
        answer = await work(key)
    except Refusal as refusal:
        if refusal.status == 400:
            await _recall(call, key)
        raise
    if not answer.entered:
        await _recall(call, key)
    return answer


async def _recall(call: Call, key: Key) -> None:
    """Looks at what a request that was refused would have found under its key."""
    earlier = await call.venue.ledger.claimed(_claim_of(call, key))
    if earlier is not None:
        raise taken_key(earlier)


def _claim_of(call: Call, key: Key) -> KeyClaim:
    return KeyClaim(0, call.account_id, key.text, key.payload_sha256)


def refused(code: int, text: str, status: int = 400) -> StoredAnswer:
    """The market's refusal, which is an outcome as any other."""
    return StoredAnswer(status, {"code": code, "msg": text})


def payload_hash(name: str, params: Mapping[str, Any]) -> bytes:
    """SHA-256 of the parsed parameters; equal numbers are equal however they are written."""
    plain = {key: _plain(value) for key, value in sorted(params.items()) if key not in _OUTSIDE}
    return hashlib.sha256(msgspec.json.encode([name, plain], order="deterministic")).digest()


def _plain(value: Any) -> Any:
    return value.symbol if isinstance(value, Instrument) else value


def _give(answer: StoredAnswer) -> Any:
    if answer.status == 200:
        return answer.body
    raise Refusal(answer.body["code"], answer.body["msg"], answer.status)
