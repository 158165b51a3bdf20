"""Asks the endpoint table from within the process: the same answers, without a socket, a signature or a limit."""

from collections.abc import Mapping, Sequence
from typing import Any

from outcry.roles.api.endpoint import Call, Endpoint
from outcry.roles.api.params import Recipe
from outcry.roles.api.venue import Venue
from outcry.rows import AccountRow


class Insider:
    """Speaks for the given accounts in the methods of the WebSocket API."""

    def __init__(self, venue: Venue, endpoints: Sequence[Endpoint], accounts: Sequence[AccountRow]) -> None:
        self._venue = venue
        self._accounts = {row.account_id: row for row in accounts}
        self._methods = {each.ws: (each, Recipe(each.params)) for each in endpoints if each.ws}

    async def ask(self, method: str, account_id: int, params: Mapping[str, str]) -> Any:
        """The method's result. Raises Refusal, OutOfService, OutcomeUnknown."""
        endpoint, recipe = self._methods[method]
        values = recipe.read(params, self._venue.instruments)
        return await endpoint.answer(Call(self._venue, values, params, account=self._accounts[account_id]))
