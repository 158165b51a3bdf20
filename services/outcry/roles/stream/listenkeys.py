"""Listen keys: the older way to hear of one's account on a market socket (gone from Binance, still in clients)."""

import secrets
import string
from typing import Final

from outcry.ports import Shared
from outcry.roles.api.endpoint import KEY_ONLY, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal

LIFETIME_MS: Final = 60 * 60_000  # from the last keep-alive on
KEY_LENGTH: Final = 64

_ALPHABET: Final = string.ascii_letters + string.digits


def unknown_listen_key() -> Refusal:
    return Refusal(-1125, "This listenKey does not exist.")


async def account_of(shared: Shared, listen_key: str) -> int | None:
    """Whose key it is; None when it is none, or its hour is over."""
    if len(listen_key) != KEY_LENGTH or not listen_key.isalnum():
        return None
    account_id = await shared.get(_owner(listen_key))
    return None if account_id is None else int(account_id)


async def start(call: Call) -> dict[str, str]:
    """POST: the account's key, a new one if it has none; its hour starts anew."""
    shared, mine = call.venue.shared, _current(call.account_id)
    listen_key = await shared.get(mine)
    if listen_key is None or not await shared.touch(_owner(listen_key), LIFETIME_MS):
        listen_key = "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))
        await shared.put(_owner(listen_key), str(call.account_id), LIFETIME_MS)
    await shared.put(mine, listen_key, LIFETIME_MS)
    return {"listenKey": listen_key}


async def keep_alive(call: Call) -> dict[str, str]:
    """PUT: the key's hour starts anew."""
    listen_key = await _own(call)
    await call.venue.shared.touch(_owner(listen_key), LIFETIME_MS)
    await call.venue.shared.touch(_current(call.account_id), LIFETIME_MS)
    return {}


async def stop(call: Call) -> dict[str, str]:
    """DELETE: the key ends; its streams follow within seconds."""
    listen_key = await _own(call)
    await call.venue.shared.delete(_owner(listen_key))
    await call.venue.shared.delete(_current(call.account_id))
    return {}


async def _own(call: Call) -> str:
    listen_key: str = call.params["listenKey"]
    if await account_of(call.venue.shared, listen_key) != call.account_id:
        raise unknown_listen_key()
    return listen_key


def _owner(listen_key: str) -> str:
    return f"listen:{listen_key}"


def _current(account_id: int) -> str:
    return f"listens:{account_id}"


_KEY: Final = (Param(name="listenKey", required=True, note="from POST /api/v3/userDataStream"),)
_PATH: Final = "/api/v3/userDataStream"

ENDPOINTS: Final = [
    Endpoint(
        method="POST", path=_PATH, answer=start, security=KEY_ONLY, weight=2, ws="userDataStream.start",
        summary="Start a user data stream", tag="user data stream", example={"listenKey": "K" * KEY_LENGTH},
    ),
    Endpoint(
        method="PUT", path=_PATH, answer=keep_alive, security=KEY_ONLY, weight=2, params=_KEY,
        ws="userDataStream.ping", summary="Keep a user data stream alive", tag="user data stream", example={},
    ),
    Endpoint(
        method="DELETE", path=_PATH, answer=stop, security=KEY_ONLY, weight=2, params=_KEY,
        ws="userDataStream.stop", summary="Close a user data stream", tag="user data stream", example={},
    ),
]  # fmt: skip
