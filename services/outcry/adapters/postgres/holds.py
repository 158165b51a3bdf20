"""One micro-batch of requests as arrays for the statement HOLD, and its answer as results."""

import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from outcry.adapters.postgres.statements import statement
from outcry.claims import DUPLICATE, HELD, SHORT, HoldRequest, HoldResult

HOLD: Final = statement("hold")
MOST: Final = 1 << 62  # nobody has that much, so nobody needs to be asked for more
NOTHING: Final = -1  # the pocket of a group that needs no money

Name = tuple[int, int, str]  # (account id, symbol id, client order id)
Pocket = tuple[int, int]  # (account id, asset id)

group_of = operator.attrgetter("group")
name_of = operator.itemgetter(*(HoldRequest._fields.index(f) for f in ("account_id", "symbol_id", "client_order_id")))
pocket_of = operator.itemgetter(*(HoldRequest._fields.index(f) for f in ("account_id", "asset_id")))


class Group(NamedTuple):
    """Requests that stand together, and their place in the micro-batch."""

    place: int
    number: int  # as the caller calls it
    requests: tuple[HoldRequest, ...]

    @property
    def names(self) -> list[Name]:
        return [*map(name_of, self.requests)]

    @property
    def needs(self) -> dict[Pocket, int]:
        """What it needs of each pocket; pockets of which it needs nothing are left out."""
        needs: Counter[Pocket] = Counter()
        for request in self.requests:
            if request.amount:
                needs[pocket_of(request)] += request.amount
        return needs

    def refused(self, status: str) -> list[HoldResult]:
        return [HoldResult(status)] * len(self.requests)


def grouped(requests: Sequence[HoldRequest]) -> list[Group]:
    """The groups in order."""
    return [Group(n, number, tuple(own)) for n, (number, own) in enumerate(groupby(requests, group_of))]


def standing_alone(groups: Iterable[Group]) -> list[Group]:
    """Groups that HOLD can decide at once: money of one pocket at most, and no name that came before in the batch."""
    seen: set[Name] = set()
    alone = []
    for group in groups:
        names = group.names
        if seen.isdisjoint(names) and len({*names}) == len(names) and len(group.needs) <= 1:
            alone.append(group)
        seen.update(names)
    return alone


def sharing(groups: Iterable[Group]) -> set[int]:
    """Places of groups whose pocket another group needs too: too little for all may be enough for some."""
    by_pocket: dict[Pocket, list[int]] = {}
    for group in groups:
        for pocket in group.needs:
            by_pocket.setdefault(pocket, []).append(group.place)
    return {place for places in by_pocket.values() if len(places) > 1 for place in places}


def columns(groups: Iterable[Group], *, each_its_own: bool = False) -> list[list[Any]]:
    """HOLD's arrays. ``each_its_own``: what each row needs is known to be there, so it pays from its own asset."""
    rows = []
    for group in groups:
        needs = group.needs
        shared = next(iter(needs))[1] if needs else NOTHING
        for n, request in enumerate(group.requests):
            part, account, symbol, asset, amount, name, window, body, _, in_list = request
            pocket = shared if not each_its_own else asset if amount else NOTHING
            leg = 0 if not in_list else 1 if n == 0 else 2
            rows.append(
                (part, account, symbol, asset, min(amount, MOST), name, window, body, pocket, group.place, leg)
            )  # fmt: skip
    return [*map(list, zip(*rows, strict=True))]


def results(groups: Iterable[Group], rows: Sequence[Any]) -> dict[int, list[HoldResult]]:
    """HOLD's answer by the place of the group."""
    found: dict[int, list[HoldResult]] = {}
    start = 0
    for group in groups:
        own = rows[start : (start := start + len(group.requests))]
        if own[0]["order_id"] is not None:
            found[group.place] = [HoldResult(HELD, *row[:4]) for row in own]
        else:
            found[group.place] = group.refused(DUPLICATE if own[0]["is_taken"] else SHORT)
    return found
