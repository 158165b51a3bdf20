"""Signatures match what Binance's own pages say, and nothing else does."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from outcry.roles.api.errors import Refusal
from outcry.roles.api.signing import matches, rest_payload, valid_until_us, without_signature, ws_payloads

SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
LTC = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
LTC_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
FULL_WIDTH = LTC.replace(b"LTCBTC", b"%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96")
FULL_WIDTH_SIGNATURE = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
SOCKET_PARAMS = {
    "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
    "price": "52000.00", "recvWindow": 100, "timestamp": 1645423376532, "apiKey": API_KEY,
}  # fmt: skip
SOCKET_SIGNATURE = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
FULL_WIDTH_SOCKET = SOCKET_PARAMS | {
    "symbol": "１２３４５６", "side": "BUY", "price": "0.10000000", "quantity": "1.00000000", "recvWindow": 5000,
}  # fmt: skip
FULL_WIDTH_SOCKET_SIGNATURE = "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"

# The private key, message and signature of Binance's fix-api.md, "How to sign Logon<A> request".
LOGON_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
LOGON = b"A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223"
LOGON_SIGNATURE = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="

NOW_US = 1_700_000_000_000_000
NOW_MS = NOW_US // 1000


def refused(timestamp: str | None, window: str | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        valid_until_us(timestamp, window, NOW_US)
    return caught.value


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (LTC, b"", LTC_SIGNATURE),
        (b"", LTC, LTC_SIGNATURE),
        (FULL_WIDTH, b"", FULL_WIDTH_SIGNATURE),
        (LTC[:40], LTC[40:], LTC_SIGNATURE),
    ],
)
def test_the_rest_examples_of_the_reference_verify(query: bytes, body: bytes, signature: str) -> None:
    assert matches("HMAC", SECRET, rest_payload(query, body), signature)


@pytest.mark.parametrize(
    ("params", "signature"),
    [(SOCKET_PARAMS, SOCKET_SIGNATURE), (FULL_WIDTH_SOCKET, FULL_WIDTH_SOCKET_SIGNATURE)],
)
def test_the_websocket_examples_of_the_reference_verify(params: dict[str, object], signature: str) -> None:
    bare, _ = ws_payloads({**params, "signature": signature})
    assert matches("HMAC", SECRET, bare, signature)


def test_the_percent_encoded_socket_form_is_known_too() -> None:
    _, encoded = ws_payloads({"symbol": "１", "newClientOrderId": "a b/c", "returnRateLimits": False})
    assert encoded == b"newClientOrderId=a+b%2Fc&returnRateLimits=false&symbol=%EF%BC%91"


def test_a_joining_sign_within_a_value_is_encoded() -> None:
    assert ws_payloads({"a": "1&b=2"}) == (b"a=1&b=2", b"a=1%26b%3D2")
    assert ws_payloads({"a": "1", "b": "2"}) == (b"a=1&b=2", b"a=1&b=2")


@given(st.dictionaries(st.text(), st.text(alphabet=st.characters(categories=["Cs", "L"])) | st.none() | st.integers()))
def test_no_message_breaks_the_making_of_its_payload(params: dict[str, object]) -> None:
    assert len(ws_payloads(params)) == 2


def test_the_ed25519_example_of_the_reference_verifies() -> None:
    private = load_pem_private_key(LOGON_KEY, None)
    assert isinstance(private, Ed25519PrivateKey)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert matches("ED25519", public, LOGON, LOGON_SIGNATURE)
    assert not matches("ED25519", public, LOGON, LOGON_SIGNATURE.lower())
    assert not matches("ED25519", public, LOGON + b"x", LOGON_SIGNATURE)


def test_hex_signatures_match_in_any_case() -> None:
    assert matches("HMAC", SECRET, LTC, LTC_SIGNATURE.upper())


@pytest.mark.parametrize("wrong", ["", "00", LTC_SIGNATURE[:-1], LTC_SIGNATURE + "0", "ü" * 64, "\ud800"])
def test_a_wrong_hmac_signature_does_not_match(wrong: str) -> None:
    assert not matches("HMAC", SECRET, LTC, wrong)


@given(st.text(), st.binary(max_size=40))
def test_no_signature_text_breaks_ed25519(signature: str, public_key: bytes) -> None:
    assert not matches("ED25519", public_key, b"payload", signature)


def test_a_signature_made_by_a_client_library_is_base64() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert matches("ED25519", public, LTC, base64.b64encode(private.sign(LTC)).decode())


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"a=1&signature=ff", b"a=1"),
        (b"signature=ff&a=1", b"a=1"),
        (b"a=1&signature=ff&b=2", b"a=1&b=2"),
        (b"signature=ff", b""),
        (b"mysignature=ff&a=1", b"mysignature=ff&a=1"),
        (b"a=signature=1", b"a=signature=1"),
    ],
)
def test_only_the_signature_pair_is_left_out_of_what_is_signed(raw: bytes, left: bytes) -> None:
    assert without_signature(raw) == left


@pytest.mark.parametrize("timestamp", [str(NOW_MS), str(NOW_US), str(NOW_MS - 5000), str(NOW_US - 5_000_000)])
def test_a_timestamp_in_milli_or_microseconds_is_good_for_five_seconds(timestamp: str) -> None:
    assert valid_until_us(timestamp, None, NOW_US) >= NOW_US


def test_a_request_is_good_until_its_timestamp_plus_its_window() -> None:
    assert valid_until_us(str(NOW_MS), "250.125", NOW_US) == NOW_US + 250_125


def test_an_old_timestamp_is_outside_of_the_window() -> None:
    refusal = refused(str(NOW_US - 5_000_001))
    assert (refusal.code, refusal.text) == (-1021, "Timestamp for this request is outside of the recvWindow.")


def test_a_timestamp_a_second_ahead_is_refused() -> None:
    refusal = refused(str(NOW_US + 1_000_000))
    assert (refusal.code, refusal.text) == (
        -1021, "Timestamp for this request was 1000ms ahead of the server's time.",
    )  # fmt: skip
    assert valid_until_us(str(NOW_US + 999_999), None, NOW_US)


@pytest.mark.parametrize(
    ("timestamp", "window", "code"),
    [
        (None, None, -1102),
        ("", None, -1102),
        ("abc", None, -1100),
        ("1e3", None, -1100),
        ("-5", None, -1100),
        ("１７００００００００", None, -1100),
        ("9" * 21, None, -1100),
        ("9" * 20, None, -1021),
        (str(NOW_MS), "60000.001", -1131),
        (str(NOW_MS), "60001", -1131),
        (str(NOW_MS), "5000.1234", -1111),
        (str(NOW_MS), "NaN", -1100),
        (str(NOW_MS), "-1", -1100),
    ],
)
def test_malformed_times_are_refused_by_name(timestamp: str | None, window: str | None, code: int) -> None:
    assert refused(timestamp, window).code == code


def test_a_window_of_sixty_seconds_is_the_longest() -> None:
    assert valid_until_us(str(NOW_MS), "60000.000", NOW_US) == NOW_US + 60_000_000
