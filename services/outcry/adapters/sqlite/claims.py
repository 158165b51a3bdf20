"""Idempotency keys: a key and its hold are written in one transaction, a refused hold leaves no key."""

import json
from collections.abc import Sequence

from outcry.adapters.keyring import KeyRing, Stored
from outcry.adapters.sqlite.writer import Work
from outcry.claims import KeyClaim
from outcry.rows import KEY_KEPT_MS


class Claims(KeyRing):
    """The keys of one micro-batch, by the group of requests that they stand for."""

    def __init__(self, work: Work, keys: Sequence[KeyClaim]) -> None:
        self._work = work
        found = {(claim.account_id, claim.key): self._row(claim) for claim in keys if not claim.follows}
        self._claimants = {(claim.account_id, claim.key): claim.claimant for claim in keys if not claim.follows}
        kept = {
            (claim.account_id, claim.key, claim.claimant) for claim in keys if claim.follows and self._is_kept(claim)
        }
        super().__init__(keys, {key: row for key, row in found.items() if row is not None}, kept)

    def write(self) -> None:
        """Stores the keys of the groups that got their hold, over expired ones."""
        for (account_id, key), (payload_sha256, order_ids) in self.own.items():
            self._work.db.execute(
                "REPLACE INTO idempotency (account_id, key, payload_sha256, order_ids, expires_ms, claimant)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    account_id, key, payload_sha256, json.dumps(order_ids), self._work.now_ms + KEY_KEPT_MS,
                    self._claimants[account_id, key],
                ),
            )  # fmt: skip

    def _row(self, claim: KeyClaim) -> Stored | None:
        row = self._work.db.execute(
            "SELECT payload_sha256, order_ids, response FROM idempotency"
            " WHERE account_id = ? AND key = ? AND expires_ms > ?",
            (claim.account_id, claim.key, self._work.now_ms),
        ).fetchone()
        return (row[0], json.loads(row[1]), row[2]) if row else None

    def _is_kept(self, claim: KeyClaim) -> bool:
        """Whether the key is still its claimant's."""
        row = self._work.db.execute(
            "SELECT 1 FROM idempotency WHERE account_id = ? AND key = ? AND claimant = ?"
            " AND response IS NULL AND expires_ms > ?",
            (claim.account_id, claim.key, claim.claimant, self._work.now_ms),
        ).fetchone()
        return row is not None
