"""One micro-batch of requests as arrays for the statement HOLD, and its answer as results."""

import operator
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
    names: list[Name]
    needs: dict[Pocket, int]  # what it needs of each pocket, more than nothing

    def refused(self, status: str) -> list[HoldResult]:
        return [HoldResult(status)] * len(self.requests)


def grouped(requests: Sequence[HoldRequest]) -> list[Group]:
    """The groups in order."""
    groups = []
    for place, (number, each) in enumerate(groupby(requests, group_of)):
        own = tuple(each)
        needs: dict[Pocket, int] = {}
        for request in own:
            if request.amount:
                pocket = pocket_of(request)
                needs[pocket] = needs.get(pocket, 0) + request.amount
        groups.append(Group(place, number, own, [*map(name_of, own)], needs))
    return groups


def standing_alone(groups: Iterable[Group]) -> list[Group]:
    """Groups that HOLD can decide at once: money of one pocket at most, and no name that came before in the batch."""
    seen: set[Name] = set()
    alone = []
    for group in groups:
        before = len(seen)
        seen.update(group.names)
        if len(seen) == before + len(group.names) and len(group.needs) <= 1:
            alone.append(group)
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
    for place, _, requests, _, needs in groups:
        shared = next(iter(needs))[1] if needs else NOTHING
        leg = 1
        for part, account, symbol, asset, amount, name, window, body, _, in_list in requests:
            pocket = (asset if amount else NOTHING) if each_its_own else shared
            most = amount if amount < MOST else MOST
            rows.append((part, account, symbol, asset, most, name, window, body, pocket, place, leg if in_list else 0))
            leg = 2
    return [*map(list, zip(*rows, strict=True))]


def results(groups: Iterable[Group], rows: Sequence[Any]) -> dict[int, list[HoldResult]]:
    """HOLD's answer by the place of the group."""
    found: dict[int, list[HoldResult]] = {}
    start = 0
    for group in groups:
        own = rows[start : (start := start + len(group.requests))]
        if own[0][0] is not None:
            found[group.place] = [HoldResult(HELD, row[0], row[1], row[2], row[3]) for row in own]
        else:
            found[group.place] = group.refused(DUPLICATE if own[0]["is_taken"] else SHORT)
    return found
