"""Idempotency keys: a key and its hold are written in one transaction, a refused hold leaves no key."""

import json
from collections.abc import Iterable, Sequence

from outcry.adapters.sqlite.writer import Work
from outcry.claims import KEY_IN_PROGRESS, KEY_MISMATCH, KEY_REPLAY, HoldResult, KeyClaim
from outcry.rows import KEY_KEPT_MS

Key = tuple[int, str]  # (account id, key)


class Claims:
    """The keys of one micro-batch, by the group of requests that they stand for."""

    def __init__(self, work: Work, keys: Sequence[KeyClaim]) -> None:
        self._work = work
        self._by_group = {claim.group: claim for claim in keys}
        self._stored = {(claim.account_id, claim.key): self._row(claim) for claim in keys}
        self.restart()

    def restart(self) -> None:
        """Forgets what this batch itself has claimed so far."""
        self._own: dict[Key, tuple[bytes, list[int]]] = {}

    def refusal(self, group: int, count: int) -> list[HoldResult] | None:
        """When the group's key is taken: ``count`` results with the order ids of its first use; else None."""
        claim = self._by_group.get(group)
        if claim is None:
            return None
        key = (claim.account_id, claim.key)
        stored = self._stored[key]
        if stored is None and key in self._own:
            stored = (*self._own[key], None)
        if stored is None:
            return None
        payload, ids, response = stored
        status = KEY_IN_PROGRESS if response is None else KEY_REPLAY
        if payload != claim.payload_sha256:
            return [HoldResult(KEY_MISMATCH)] * count
        padded = [*ids, *[0] * count]
        return [HoldResult(status, padded[n], response=response or b"") for n in range(count)]

    def note(self, group: int, order_ids: Iterable[int]) -> None:
        """The group's hold succeeded."""
        claim = self._by_group.get(group)
        if claim is not None:
            self._own[(claim.account_id, claim.key)] = (claim.payload_sha256, list(order_ids))

    def write(self) -> None:
        """Stores the keys of the groups that got their hold, over expired ones."""
        for (account_id, key), (payload_sha256, order_ids) in self._own.items():
            self._work.db.execute(
                "REPLACE INTO idempotency VALUES (?, ?, ?, ?, NULL, ?)",
                (account_id, key, payload_sha256, json.dumps(order_ids), self._work.now_ms + KEY_KEPT_MS),
            )

    def _row(self, claim: KeyClaim) -> tuple[bytes, list[int], bytes | None] | None:
        row = self._work.db.execute(
            "SELECT payload_sha256, order_ids, response FROM idempotency"
            " WHERE account_id = ? AND key = ? AND expires_ms > ?",
            (claim.account_id, claim.key, self._work.now_ms),
        ).fetchone()
        return (row[0], json.loads(row[1]), row[2]) if row else None
