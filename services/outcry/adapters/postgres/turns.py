"""Groups that are decided one after the other, within one transaction that has locked their keys and money."""

import json
from collections.abc import Sequence
from typing import Final

from outcry.adapters.keyring import Key, KeyRing, Stored
from outcry.adapters.postgres.holds import HOLD, Group, Name, Pocket, columns, results
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.claims import DUPLICATE, HELD, KEY_IN_PROGRESS, SHORT, HoldResult, KeyClaim
from outcry.rows import KEY_KEPT_MS

CLAIM_KEYS: Final = statement("claim_keys")
KEPT_KEYS: Final = statement("kept_keys")
STORED_KEYS: Final = statement("stored_keys")
SETTLE_KEYS: Final = statement("settle_keys")
LOCK_MONEY: Final = statement("lock_money")
TAKEN_NAMES: Final = statement("taken_names")


class Turns:
    """Keys are looked at first, then names, then money; a group gets all of what it asks for or nothing."""

    def __init__(self, connection: Connection, topic: str, groups: Sequence[Group]) -> None:
        self._connection = connection
        self._topic = topic
        self._groups = groups

    async def settle(self, keys: Sequence[KeyClaim]) -> dict[int, list[HoldResult]]:
        """Results by the place of the group."""
        own = {group.number for group in self._groups}
        claims = [claim for claim in keys if claim.group in own]
        ring, claimed = await self._claim(claims)
        fits = self._decide(ring, await self._taken(), await self._money())
        found = {group.place: group.refused(status) for group, status in fits if status != HELD}
        held = [group for group, status in fits if status == HELD]
        if held:
            rows = await self._connection.fetch(HOLD, self._topic, *columns(held, each_its_own=True))
            found |= results(held, rows)
        self._tell_keys(ring, found)
        if claimed:
            await self._settle_keys(ring, claimed)
        return found

    async def _claim(self, claims: Sequence[KeyClaim]) -> tuple[KeyRing, set[Key]]:
        """Takes the keys that are free; the others as they are stored, and which were taken."""
        wanted = {(claim.account_id, claim.key): claim for claim in claims if not claim.follows}
        kept = await self._kept([claim for claim in claims if claim.follows])
        if not wanted:
            return KeyRing(claims, {}, kept), set()
        accounts, keys = [account for account, _ in wanted], [key for _, key in wanted]
        payloads = [claim.payload_sha256 for claim in wanted.values()]
        claimants = [claim.claimant for claim in wanted.values()]
        rows = await self._connection.fetch(CLAIM_KEYS, accounts, keys, payloads, claimants, KEY_KEPT_MS)
        claimed = {(account, key) for account, key in rows}
        stored: dict[Key, Stored] = {}
        if len(claimed) < len(wanted):
            for account, key, *row in await self._connection.fetch(STORED_KEYS, accounts, keys):
                if (account, key) not in claimed:
                    stored[account, key] = (row[0], row[1], row[2])
        return KeyRing(claims, stored, kept), claimed

    async def _kept(self, following: Sequence[KeyClaim]) -> set[tuple[int, str, str]]:
        """The keys, with their claimants, under which groups may follow; nobody closes them before the commit."""
        if not following:
            return set()
        accounts, keys, claimants = map(list, zip(*{(c.account_id, c.key, c.claimant) for c in following}, strict=True))
        rows = await self._connection.fetch(KEPT_KEYS, accounts, keys, claimants)
        return {(account, key, claimant) for account, key, claimant in rows}

    async def _money(self) -> dict[Pocket, int]:
        pockets = list({pocket for group in self._groups for pocket in group.needs})
        if not pockets:
            return {}
        accounts, assets = map(list, zip(*pockets, strict=True))
        rows = await self._connection.fetch(LOCK_MONEY, accounts, assets)
        return {(account, asset): free for account, asset, free in rows}

    async def _taken(self) -> set[Name]:
        names = [name for group in self._groups for name in group.names]
        wanted = map(list, zip(*names, strict=True))
        return {(account, symbol, name) for account, symbol, name in await self._connection.fetch(TAKEN_NAMES, *wanted)}

    def _decide(self, ring: KeyRing, taken: set[Name], money: dict[Pocket, int]) -> list[tuple[Group, str]]:
        """Each group whose key is not taken, and what becomes of it; ``taken`` and ``money`` follow the decisions."""
        decided = []
        ours: set[Key] = set()
        for group in self._groups:
            key = ring.key(group.number)
            if ring.refusal(group.number, 1) is not None or key in ours:
                continue
            status = _take(group, taken, money)
            if status == HELD and key is not None:
                ours.add(key)
            decided.append((group, status))
        return decided

    def _tell_keys(self, ring: KeyRing, found: dict[int, list[HoldResult]]) -> None:
        """Adds the results of groups whose key was taken, before this batch or by it."""
        for group in self._groups:
            count = len(group.requests)
            if group.place not in found:
                found[group.place] = ring.refusal(group.number, count) or group.refused(KEY_IN_PROGRESS)
            elif found[group.place][0].status == HELD:
                ring.note(group.number, [result.order_id for result in found[group.place]])

    async def _settle_keys(self, ring: KeyRing, claimed: set[Key]) -> None:
        """A refused hold leaves no key."""
        used = {key: json.dumps(ids) for key, (_, ids) in ring.own.items()}
        free = [key for key in claimed if key not in used]
        await self._connection.fetch(
            SETTLE_KEYS, [account for account, _ in used], [key for _, key in used], [*used.values()],
            [account for account, _ in free], [key for _, key in free],
        )  # fmt: skip


def _take(group: Group, taken: set[Name], money: dict[Pocket, int]) -> str:
    """Takes the names and the money of one group, if its names are new and all the money is there."""
    names = group.names
    if not taken.isdisjoint(names) or len({*names}) < len(names):
        return DUPLICATE
    needs = group.needs
    if any(money.get(pocket, 0) < amount for pocket, amount in needs.items()):
        return SHORT
    for pocket, amount in needs.items():
        money[pocket] -= amount
    taken.update(names)
    return HELD
