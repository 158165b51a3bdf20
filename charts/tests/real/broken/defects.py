"""Defects of a release, by name in TEST_DEFECT: ``errors``, ``latency``, ``matching``; without one all is as it was."""

import asyncio
import itertools
import os

SLOW_SECONDS = 0.6
EVERY = 3  # request that is answered with an error


def break_answers() -> None:
    """Every third request of an api fails."""
    from outcry.roles.api.gate import Gate

    honest, numbers = Gate.rest, itertools.count()

    async def rest(self, endpoint, request):
        if next(numbers) % EVERY == 0:
            raise RuntimeError("a defect for tests")
        return await honest(self, endpoint, request)

    Gate.rest = rest


def slow_answers() -> None:
    """Every request of an api takes its time."""
    from outcry.roles.api.gate import Gate

    honest = Gate.rest

    async def rest(self, endpoint, request):
        await asyncio.sleep(SLOW_SECONDS)
        return await honest(self, endpoint, request)

    Gate.rest = rest


def match_differently() -> None:
    """An engine buys one tick lower than it was told."""
    import msgspec

    from outcry.market.commands import PlaceOrder
    from outcry.market.terms import BUY
    from outcry.roles.engine import session

    honest = session._APPLY[PlaceOrder]

    def place(self, command):
        if command.side == BUY and command.price > 1:
            command = msgspec.structs.replace(command, price=command.price - 1)
        honest(self, command)

    session._APPLY[PlaceOrder] = place


DEFECTS = {"errors": break_answers, "latency": slow_answers, "matching": match_differently}

if os.environ.get("TEST_DEFECT"):
    DEFECTS[os.environ["TEST_DEFECT"]]()
