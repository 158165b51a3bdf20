"""The operator's verbs under ``/v1/admin``: what the command line does, for keys with the scope admin."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from outcry.roles.admin.rules import Refused
from outcry.roles.api.endpoint import ADMIN, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal

Json = dict[str, Any]
TAG: Final = "admin"
REFUSED: Final = -1130  # data sent for a parameter is not valid

ACCOUNT: Final = Param(name="account", kind="int", required=True, low=0, example=3001)
SOME_ACCOUNT: Final = Param(name="account", kind="int", low=0, note="that of all when left out")
NAME: Final = Param(name="name", required=True, example="alice")
ASSET: Final = Param(name="asset", required=True, example="USD")
AMOUNT: Final = Param(name="amount", required=True, example="1000", note="a decimal with at most 8 decimals")
REFERENCE: Final = Param(name="reference", note="the same reference moves money once")
SYMBOL_NAME: Final = Param(name="symbol", required=True, example="BTCUSD")
KEY: Final = Param(name="key", required=True)


def verb(name: str, **other_names: str) -> Callable[[Call], Awaitable[Json]]:
    """An endpoint that carries a verb out; ``maker_ppm="makerPpm"`` is the verb's ``maker_ppm`` by another name."""

    async def carry_out(call: Call) -> Json:
        assert call.key is not None
        renamed = {wire: own for own, wire in other_names.items()}
        params = {renamed.get(given, given): value for given, value in call.params.items()}
        try:
            result = await call.venue.admin(name, {**params, "actor": f"key {call.key.api_key[:8]}"})
        except Refused as refused:
            raise Refusal(REFUSED, str(refused)) from None
        return {"data": result["rows"]} if "rows" in result else result

    return carry_out


def _row(method: str, path: str, answer: Callable[[Call], Awaitable[Json]], summary: str, *params: Param) -> Endpoint:
    return Endpoint(
        method=method, path=f"/v1/admin/{path}", answer=answer, security=ADMIN, params=params, tag=TAG, summary=summary,
        example={},
    )  # fmt: skip


ENDPOINTS: Final = [
    _row("GET", "accounts", verb("accounts.list"), "Every account"),
    _row(
        "POST", "accounts", verb("accounts.create", maker_ppm="makerPpm", taker_ppm="takerPpm"), "Open an account",
        NAME,
        Param(name="account", kind="int", low=0, note="its number; the next free one when left out"),
        Param(name="makerPpm", kind="int", low=0, note="fee in parts per million"),
        Param(name="takerPpm", kind="int", low=0, note="fee in parts per million"),
    ),
    _row("POST", "accounts/freeze", verb("accounts.freeze"), "Let an account place no orders", ACCOUNT),
    _row("POST", "accounts/unfreeze", verb("accounts.unfreeze"), "Let a frozen account trade again", ACCOUNT),
    _row("GET", "balances", verb("accounts.balances"), "An account's balances", ACCOUNT),
    _row("POST", "deposits", verb("accounts.deposit"), "Bring money in", ACCOUNT, ASSET, AMOUNT, REFERENCE),
    _row("POST", "withdrawals", verb("accounts.withdraw"), "Take money out", ACCOUNT, ASSET, AMOUNT, REFERENCE),
    _row("GET", "keys", verb("keys.list"), "API keys, without secrets", SOME_ACCOUNT),
    _row(
        "POST", "keys", verb("keys.create"), "Issue an API key; its secret is told this once", ACCOUNT,
        Param(name="scopes", note="of read, trade, withdraw, admin; comma-separated", example="read,trade"),
        Param(name="ips", note="addresses or networks that may use it; comma-separated, any when left out"),
        Param(name="days", kind="int", low=1, note="until it expires; never when left out"),
        Param(name="ed25519", note="a public key, 64 hex digits; without one a secret for HMAC is made"),
    ),
    _row("DELETE", "keys", verb("keys.revoke"), "Revoke an API key; no process takes it 5 s later", KEY),
    _row("GET", "symbols", verb("symbols.list"), "Listed symbols"),
    _row(
        "POST", "symbols", verb("symbols.create", min_notional="minNotional"), "List a symbol",
        Param(name="base", required=True, example="XRP"), Param(name="quote", required=True, example="USD"),
        Param(name="tick", required=True, example="0.0001"), Param(name="step", required=True, example="0.1"),
        Param(name="minNotional", note="5 when left out"),
        Param(name="partition", kind="int", low=0, note="chosen in turn when left out"),
    ),
    _row("POST", "symbols/halt", verb("symbols.halt"), "Stop a symbol's trading", SYMBOL_NAME),
    _row("POST", "symbols/open", verb("symbols.open"), "Let a halted symbol trade again", SYMBOL_NAME),
    _row("GET", "audit", verb("audit.list"), "Who changed what, newest first", Param(name="limit", kind="int", low=1)),
]  # fmt: skip
