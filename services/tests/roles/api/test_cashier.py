"""Trouble in the middle of a micro-batch is the answer of those whom it concerns: what is held already goes on."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from outcry.claims import SHORT, HoldRequest, HoldResult, KeyClaim
from outcry.market.terms import NEW
from outcry.ports import Outcome, OutcomeUnknown, OutOfService
from outcry.roles.api.errors import Refusal
from tests.roles.api.test_desk import ONE, TWO, Shop, shop


async def told(s: Shop, *orders: tuple[str, int]) -> list[str | int]:
    """The answers to orders of one micro-batch: a status, or the code of a refusal."""
    places = [s.place(text, f"n{number}", account) for number, (text, account) in enumerate(orders)]
    answers = await s.desk.submit_all(places)
    return [
        a.orders[0].status if isinstance(a, Outcome) else a.code for a in answers if isinstance(a, Outcome | Refusal)
    ]


async def test_a_fold_that_fails_leaves_the_orders_that_have_their_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path) as s:

        async def fold(*_: object) -> int:
            raise OutOfService("cut")

        monkeypatch.setattr(s.store.ledger, "fold", fold)
        assert await told(s, ("buy 10@5000", ONE), (f"buy {10**9}@{10**7}", TWO)) == [NEW, -1008]


@pytest.mark.parametrize(("trouble", "code"), [(OutOfService("cut"), -1008), (OutcomeUnknown("cut"), -1007)])
async def test_of_those_that_are_tried_once_more_only_the_troubled_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception, code: int
) -> None:
    async with shop(tmp_path) as s:
        hold = s.store.ledger.hold

        async def short_of_money(
            requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()
        ) -> Sequence[HoldResult]:
            if len(requests) > 1:
                return [HoldResult(SHORT)] * len(requests)
            if requests[0].account_id == TWO:
                raise trouble
            return await hold(requests, keys)

        monkeypatch.setattr(s.store.ledger, "hold", short_of_money)
        assert await told(s, ("buy 10@5000", TWO), ("buy 10@5000", ONE)) == [code, NEW]
