"""The idempotency keys of one micro-batch: which of its groups come too late, and with which answer."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from outcry.claims import KEY_IN_PROGRESS, KEY_LOST, KEY_MISMATCH, KEY_REPLAY, HoldResult, KeyClaim

Key = tuple[int, str]  # (account id, key)
Stored = tuple[bytes, Sequence[int], bytes | None]  # (hash of the payload, order ids, response or None)


class KeyRing:
    """Knows the keys that were stored before the batch, and those that the batch itself has used so far.

    ``kept`` are the keys that are still their claimant's, among those under which a group of the batch follows.
    """

    def __init__(
        self, claims: Sequence[KeyClaim], stored: Mapping[Key, Stored], kept: Collection[tuple[int, str, str]] = ()
    ) -> None:
        self._by_group = {claim.group: claim for claim in claims}
        self._stored = stored
        self._kept = kept
        self.restart()

    def restart(self) -> None:
        """Forgets what this batch itself has used."""
        self.own: dict[Key, tuple[bytes, list[int]]] = {}

    def key(self, group: int) -> Key | None:
        """The key that the group claims."""
        claim = self._by_group.get(group)
        return None if claim is None or claim.follows else (claim.account_id, claim.key)

    def refusal(self, group: int, count: int) -> list[HoldResult] | None:
        """When the group's key is taken: ``count`` results with the order ids of its first use; else None."""
        key = self.key(group)
        if key is None:
            return [HoldResult(KEY_LOST)] * count if self._is_lost(group) else None
        stored = self._stored.get(key)
        if stored is None and key in self.own:
            stored = (*self.own[key], None)
        if stored is None:
            return None
        payload, ids, response = stored
        status = KEY_IN_PROGRESS if response is None else KEY_REPLAY
        if payload != self._by_group[group].payload_sha256:
            return [HoldResult(KEY_MISMATCH)] * count
        padded = [*ids, *[0] * count]
        return [HoldResult(status, padded[n], response=response or b"") for n in range(count)]

    def note(self, group: int, order_ids: Iterable[int]) -> None:
        """The group's hold succeeded."""
        key = self.key(group)
        if key is not None:
            self.own[key] = (self._by_group[group].payload_sha256, list(order_ids))

    def _is_lost(self, group: int) -> bool:
        """Whether the group follows under a key that somebody else has, or nobody."""
        claim = self._by_group.get(group)
        return claim is not None and (claim.account_id, claim.key, claim.claimant) not in self._kept
