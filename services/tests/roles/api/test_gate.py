"""Who may in, by which key, signature and time, and with which parameters."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import RawRequest
from outcry.roles.api.signing import ws_payloads
from outcry.roles.api.vault import FRESH_MS, BadSeal, Vault
from outcry.rows import AccountRow, KeyRow
from tests.support.gated import ACCOUNT, KEY, PRIVATE, READER, READER_SECRET, SECRET, Gated, gated

ORDER = {"symbol": "BTCUSD", "side": "BUY", "quantity": "0.10"}
READ_ORDER = ORDER | {"quantity": 10_000_000}  # as an endpoint gets it
ORDER_TEXT = "symbol=BTCUSD&side=BUY&quantity=0.10"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Session:
    """A WebSocket API connection as the gate sees it."""

    def __init__(self) -> None:
        self.client_ip = "10.0.0.1"
        self.key: KeyRow | None = None
        self.account: AccountRow | None = None


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path) as running:
        yield running


def error(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def hmac_hex(payload: bytes) -> str:
    return hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()


async def ws_refusal(front: Gated, method: str, params: Mapping[str, Any], session: Session) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await front.gate.ws(front.table[method], params, session)
    return caught.value


def ws_signed(front: Gated, form: int = 0, **params: Any) -> dict[str, Any]:
    sent = {"apiKey": KEY, "timestamp": front.clock.now_ms(), **params}
    return sent | {"signature": hmac_hex(ws_payloads(sent)[form])}


@pytest.mark.parametrize("place", ["query", "body", "both", "signature in the body", "labelled json"])
async def test_a_signed_order_may_be_in_query_and_body(front: Gated, place: str) -> None:
    signed = front.signed(ORDER_TEXT)
    bare, _, signature = signed.rpartition("&")
    query, body, headers = {
        "query": (signed, "", {}),
        "body": ("", signed, FORM),
        "both": ("symbol=BTCUSD", "", FORM),
        "signature in the body": (bare, signature, FORM),
        "labelled json": ("", signed, {"Content-Type": "application/json"}),
    }[place]
    if place == "both":
        body = f"side=BUY&quantity=0.10&timestamp={front.clock.now_ms()}"
        body += f"&signature={hmac_hex((query + body).encode())}"
    answer = await front.ask("POST", "/api/v3/order", query, content=body, headers=headers)
    assert answer.json() == {"params": READ_ORDER, "account": ACCOUNT}


async def test_the_query_wins_over_the_body(front: Gated) -> None:
    body = b"symbol=ETHUSD&side=SELL"
    query = front.signed("symbol=BTCUSD", body)
    answer = await front.ask("POST", "/api/v3/order", query, content=body, headers=FORM)
    assert answer.json()["params"] == {"symbol": "BTCUSD", "side": "SELL"}


async def test_the_order_of_pairs_and_the_case_of_hex_do_not_matter(front: Gated) -> None:
    rest, _, signature = front.signed(ORDER_TEXT).rpartition("&signature=")
    answer = await front.ask("POST", "/api/v3/order", f"signature={signature.upper()}&{rest}")
    assert answer.status_code == 200


async def test_an_ed25519_key_signs_too(front: Gated) -> None:
    query = f"symbol=BTCUSD&side=BUY&timestamp={front.clock.now_ms()}"
    signature = quote(base64.b64encode(PRIVATE.sign(query.encode())).decode(), safe="")
    headers = {"X-MBX-APIKEY": "curve-key-1"}
    good = await front.ask("POST", "/api/v3/order", f"{query}&signature={signature}", headers=headers)
    bad = await front.ask("POST", "/api/v3/order", f"quantity=2&{query}&signature={signature}", headers=headers)
    assert (good.status_code, error(bad)) == (200, (400, -1022))


async def test_a_changed_byte_breaks_the_signature(front: Gated) -> None:
    signed = front.signed(ORDER_TEXT)
    for wrong in (signed.replace("0.10", "0.1"), signed[:-1], signed.replace("BUY", "%42UY")):
        assert error(await front.ask("POST", "/api/v3/order", wrong)) == (400, -1022)


@pytest.mark.parametrize(
    ("key", "answer"),
    [("", (401, -2014)), ("short", (401, -2014)), ("has spaces in it", (401, -2014)), ("nobodys-key-1", (401, -2015))],
)
async def test_a_missing_malformed_or_unknown_key_is_401(front: Gated, key: str, answer: tuple[int, int]) -> None:
    refused = await front.ask("POST", "/api/v3/order", front.signed(ORDER_TEXT), headers={"X-MBX-APIKEY": key})
    assert error(refused) == answer


async def test_a_key_without_the_scope_is_refused(front: Gated) -> None:
    headers = {"X-MBX-APIKEY": READER}
    reading = await front.ask("GET", "/api/v3/account", front.signed(secret=READER_SECRET), headers=headers)
    trading = await front.ask("POST", "/api/v3/order", front.signed(ORDER_TEXT, secret=READER_SECRET), headers=headers)
    assert (reading.status_code, error(trading)) == (200, (401, -2015))


async def test_a_signed_request_needs_its_timestamp_and_signature(front: Gated) -> None:
    for query, name in (("signature=ff", "timestamp"), (f"timestamp={front.clock.now_ms()}", "signature")):
        answer = await front.ask("GET", "/api/v3/account", query)
        assert answer.json()["msg"] == f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


async def test_an_expired_signature_is_refused_even_when_it_was_good(front: Gated) -> None:
    signed = front.signed(ORDER_TEXT)
    front.clock.us += 5_000_000
    assert (await front.ask("POST", "/api/v3/order", signed)).status_code == 200
    front.clock.us += 1_000
    assert error(await front.ask("POST", "/api/v3/order", signed)) == (400, -1021)


async def test_the_call_knows_until_when_it_is_good(front: Gated) -> None:
    answer = await front.ask("POST", "/api/v3/keyed", front.signed("recvWindow=1000.5"))
    assert answer.json()["until"] == front.clock.now_ms() * 1000 + 1_000_500


async def test_a_revoked_key_is_refused_within_seconds(front: Gated) -> None:
    assert (await front.order()).status_code == 200
    await front.store.ledger.revoke_key(KEY, front.clock.now_ms(), "test")
    front.clock.us += FRESH_MS * 1000
    assert error(await front.order()) == (401, -2015)


async def test_an_expired_key_and_a_key_bound_to_other_addresses_are_refused(front: Gated) -> None:
    now_ms, vault = front.clock.now_ms(), Vault(b"m" * 32)
    rows = {"expired-key": ("", now_ms - 1), "bound-key": ("10.0.0.0/8, 192.168.1.1", 0), "local-key": ("127.0.0.1", 0)}
    answers = {}
    for key, (ips, expires) in rows.items():
        sealed = vault.seal(SECRET.encode(), key)
        await front.store.ledger.create_key(KeyRow(key, ACCOUNT, "HMAC", sealed, "trade", ips, 1, expires, 0), "test")
        answer = await front.order(headers={"X-MBX-APIKEY": key})
        answers[key] = answer.status_code
    assert answers == {"expired-key": 401, "bound-key": 401, "local-key": 200}


async def test_a_frozen_account_may_cancel_and_look_but_not_trade(front: Gated) -> None:
    await front.store.ledger.freeze_account(ACCOUNT, True, "test")
    order = await front.order()
    cancel = await front.ask("DELETE", "/api/v3/order", front.signed("symbol=BTCUSD"))
    account = await front.ask("GET", "/api/v3/account", front.signed())
    assert (error(order), cancel.status_code, account.status_code) == ((400, -2010), 200, 200)


async def test_a_key_only_endpoint_wants_no_signature(front: Gated) -> None:
    assert (await front.ask("POST", "/api/v3/userDataStream")).json()["account"] == ACCOUNT
    assert error(await front.ask("POST", "/api/v3/userDataStream", headers={"X-MBX-APIKEY": ""})) == (401, -2014)


async def test_a_repeated_name_is_refused_in_query_and_body_alike(front: Gated) -> None:
    twice = front.signed("symbol=BTCUSD&side=BUY&side=BUY")
    assert error(await front.ask("POST", "/api/v3/order", twice)) == (400, -1101)
    assert error(await front.ask("POST", "/api/v3/order", content=twice, headers=FORM)) == (400, -1101)
    assert error(await front.ask("POST", "/api/v3/order", front.signed(ORDER_TEXT) + "&signature=ff")) == (400, -1101)


@pytest.mark.parametrize(("header", "key"), [("abc-1", "abc-1"), ('"quoted key"', None), ('"abc"', "abc"), ("", "")])
async def test_an_idempotency_key_may_come_in_quotes(front: Gated, header: str, key: str | None) -> None:
    answer = await front.ask("POST", "/api/v3/keyed", front.signed(), headers={"Idempotency-Key": header})
    assert (answer.json().get("key"), answer.status_code) == ((key, 200) if key is not None else (None, 400))


async def test_native_bodies_are_json_and_signed_as_sent(front: Gated) -> None:
    body = b' {"orders":[{"symbol":"BTCUSD","price":0.00000001}]}'
    answer = await front.ask("POST", "/v1/orders:batch", front.signed("", body), content=body)
    assert answer.json()["params"] == {"orders": [{"symbol": "BTCUSD", "price": "0.00000001"}]}
    for bad in (b"{", b"[1]", b'{"orders":1}', b'{"orders":"x"}', b'{"orders":null}', b"\xff", b'{"zz":[]}'):
        refused = await front.ask(
            "POST", "/v1/orders:batch", front.signed("", bad), content=bad, headers={"Content-Type": "application/json"}
        )
        assert refused.status_code == 400, bad
        assert refused.headers["content-type"] == "application/problem+json"


async def test_the_gate_can_be_asked_without_a_socket(front: Gated) -> None:
    request = RawRequest(query=front.signed(ORDER_TEXT).encode(), api_key=KEY, client_ip="::1", traceparent="00-a-b-01")
    call = await front.gate.rest(front.table["order.place"], request)
    assert (call.account_id, call.traceparent, [s.used for s in call.spent]) == (ACCOUNT, "00-a-b-01", [1, 1, 1])


@pytest.mark.parametrize("form", [0, 1])
async def test_a_websocket_request_is_signed_plain_or_percent_encoded(front: Gated, form: int) -> None:
    params = ws_signed(front, form, symbol="BTCUSD", side="BUY", newClientOrderId="a/b:c", returnRateLimits=False)
    call = await front.gate.ws(front.table["order.place"], params, Session())
    assert (call.params["newClientOrderId"], call.account_id) == ("a/b:c", ACCOUNT)


async def test_a_websocket_request_without_key_or_signature_is_refused_by_name(front: Gated) -> None:
    assert "'apiKey'" in (await ws_refusal(front, "order.place", {"timestamp": 1}, Session())).text
    unsigned = {"apiKey": KEY, "timestamp": front.clock.now_ms()}
    assert "'signature'" in (await ws_refusal(front, "order.place", unsigned, Session())).text
    wrong = ws_signed(front, symbol="BTCUSD", side="BUY") | {"side": "SELL"}
    assert (await ws_refusal(front, "order.place", wrong, Session())).code == -1022


async def test_after_logon_only_the_timestamp_is_needed(front: Gated) -> None:
    session = Session()
    logon = await front.gate.ws(front.table["account.status"], ws_signed(front), session)
    session.key, session.account = logon.key, logon.account
    now_ms = front.clock.now_ms()
    call = await front.gate.ws(front.table["order.place"], ORDER | {"timestamp": now_ms}, session)
    assert call.account_id == ACCOUNT
    assert (await ws_refusal(front, "order.place", ORDER, session)).code == -1102
    assert (await ws_refusal(front, "order.place", ORDER | {"timestamp": now_ms - 6000}, session)).code == -1021


async def test_a_session_ends_when_its_key_is_revoked(front: Gated) -> None:
    session = Session()
    session.key = await front.store.ledger.key(KEY)
    await front.store.ledger.revoke_key(KEY, front.clock.now_ms(), "test")
    refusal = await ws_refusal(front, "account.status", {"timestamp": front.clock.now_ms()}, session)
    assert (refusal.code, refusal.status, session.key) == (-2015, 401, None)


@pytest.mark.parametrize("key", [1, ["a"], {"a": 1}, "", "ü" * 20])
async def test_an_odd_api_key_in_a_message_is_refused(front: Gated, key: Any) -> None:
    params = {"apiKey": key, "timestamp": front.clock.now_ms(), "signature": "ff"}
    assert (await ws_refusal(front, "account.status", params, Session())).code in (-2014, -1102)


@pytest.mark.parametrize("name", ["timestamp", "signature", "recvWindow"])
@pytest.mark.parametrize("value", [[], {}, [1], 1e400, True, -1, "x"])
async def test_odd_types_around_a_signature_are_refused(front: Gated, name: str, value: Any) -> None:
    params = ws_signed(front, symbol="BTCUSD", side="BUY") | {name: value}
    refusal = await ws_refusal(front, "order.place", params, Session())
    assert refusal.status == 400


def test_a_sealed_secret_opens_under_its_own_key_alone() -> None:
    vault = Vault(b"m" * 32)
    sealed = vault.seal(b"secret", "key-1")
    assert b"secret" not in sealed
    assert vault.unseal(sealed, "key-1") == b"secret"
    wrong = ((Vault(b"x" * 32), sealed, "key-1"), (vault, sealed, "key-2"), (vault, sealed[:-1], "key-1"))
    for other, row, name in (*wrong, (vault, b"", "key-1")):
        with pytest.raises(BadSeal):
            other.unseal(row, name)


def test_a_master_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(b"short")
