"""Whatever a client sends becomes a typed parameter or a refusal that names it."""

from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.market.instrument import Instrument
from outcry.roles.api.endpoint import Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.params import MAX_PAIRS, TOO_PRECISE, Recipe, plain, read_json, read_object, read_pairs


def listed(symbol_id: int, symbol: str) -> Instrument:
    return Instrument(
        symbol_id=symbol_id, symbol=symbol, partition=0, base=symbol[:3], quote="USD", base_asset=2, quote_asset=1,
        tick_size=1_000_000, lot_size=1_000,
    )  # fmt: skip


BTC, ETH = listed(1, "BTCUSD"), listed(2, "ETHUSD")
LISTED = {"BTCUSD": BTC, "ETHUSD": ETH}
EVERY_KIND = (
    Param(name="text"),
    Param(name="number", kind="int", low=1, high=100),
    Param(name="limit", kind="int", low=1, high=1000, default=500),
    Param(name="startTime", kind="int"),
    Param(name="quantity", kind="decimal"),
    Param(name="flag", kind="bool"),
    Param(name="symbol", kind="symbol"),
    Param(name="side", kind="enum", values=("BUY", "SELL")),
    Param(name="newClientOrderId", kind="client_id"),
    Param(name="orders", kind="json"),
)


def read(kind: str, sent: Any, name: str = "x", **rest: Any) -> Any:
    return Recipe([Param(name=name, kind=kind, **rest)]).read({name: sent}, LISTED)[name]


def refusal_of(kind: str, sent: Any, name: str = "x", **rest: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(kind, sent, name, **rest)
    return caught.value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e3", "-1", "+1", "1.", ".5", "１", "1_000", " 1", "1\n", "0x1"])
def test_only_plain_ascii_decimals_are_decimals(text: str) -> None:
    refusal = refusal_of("decimal", text, "quantity")
    assert refusal.code == -1100
    assert refusal.text == (
        r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."
    )


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("0", 0), ("00", 0), ("1", 100_000_000), ("0.1", 10_000_000), ("0.00000001", 1), ("0.000000010000", 1),
        ("60000.50", 6_000_050_000_000), ("9" * 20, int("9" * 20) * 10**8), ("1." + "0" * 20, 100_000_000),
        ("0.00000000000000000001", TOO_PRECISE), ("1.000000001", TOO_PRECISE),
    ],
)  # fmt: skip
def test_a_decimal_is_a_whole_number_of_minor_units_or_too_precise(text: str, minor: int) -> None:
    assert read("decimal", text) == minor


@given(st.decimals(0, 10**20 - 1, places=8), st.integers(0, 12))
def test_a_decimal_has_the_worth_that_it_says(amount: Decimal, zeros: int) -> None:
    assert read("decimal", format(amount, "f") + "0" * zeros) == int(amount.scaleb(8, Context(prec=64)))


@pytest.mark.parametrize("text", ["-1", "1.0", "abc", "٣", "9" * 21, ""])
def test_only_ascii_digits_are_whole_numbers(text: str) -> None:
    assert refusal_of("int", text).code in (-1100, -1105)


def test_a_number_beyond_64_bits_overflows() -> None:
    assert refusal_of("int", str(1 << 63), "orderId").text == "Parameter 'orderId' overflowed."
    assert read("int", str((1 << 63) - 1)) == (1 << 63) - 1


def test_more_than_the_largest_limit_is_the_largest_limit() -> None:
    assert read("int", "5000", "limit", low=1, high=1000) == 1000
    assert refusal_of("int", "0", "limit", low=1, high=1000).code == -1130
    assert refusal_of("int", "5000", "other", low=1, high=1000).code == -1130


def test_times_are_read_in_milli_or_microseconds() -> None:
    assert read("int", "1700000000000", "startTime") == 1_700_000_000_000
    assert read("int", "1700000000000123", "startTime") == 1_700_000_000_000
    assert read("int", "1700000000000123", "fromId") == 1_700_000_000_000_123


def test_a_symbol_is_its_instrument() -> None:
    assert read("symbol", "BTCUSD") is BTC
    assert refusal_of("symbol", "XRPUSD").code == -1121
    assert refusal_of("symbol", "btc/usd").code == -1100


@pytest.mark.parametrize("sent", ['["BTCUSD","ETHUSD"]', ["BTCUSD", "ETHUSD"]])
def test_symbols_come_as_a_json_array_or_its_text(sent: Any) -> None:
    assert read("symbols", sent) == (BTC, ETH)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("BTCUSD", -1100), ("[1]", -1100), ('["BTCUSD"', -1100), ('{"a":1}', -1100), ("[]", -1102),
        ('["BTCUSD","BTCUSD"]', -1151), ('["XRPUSD"]', -1121), ([["BTCUSD"]], -1100), ("[" * 5000, -1100),
    ],
)  # fmt: skip
def test_a_bad_list_of_symbols_is_refused(sent: Any, code: int) -> None:
    assert refusal_of("symbols", sent).code == code


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("side", -1117, "Invalid side."),
        ("type", -1116, "Invalid orderType."),
        ("timeInForce", -1115, "Invalid timeInForce."),
        ("aboveTimeInForce", -1115, "Invalid timeInForce."),
        ("interval", -1120, "Invalid interval."),
        ("newOrderRespType", -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ],
)
def test_a_word_that_is_not_of_the_list_is_refused_in_binances_words(name: str, code: int, text: str) -> None:
    refusal = refusal_of("enum", "WRONG", name, values=("A", "B"))
    assert (refusal.code, refusal.text) == (code, text)


@pytest.mark.parametrize("text", ["a" * 37, "a b", "é", "a\n", "$1"])
def test_client_order_ids_are_short_and_plain(text: str) -> None:
    assert refusal_of("client_id", text, "newClientOrderId").code == -1100
    assert read("client_id", "A-z_0.9:/x") == "A-z_0.9:/x"


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "�", "x" * 513])
def test_free_text_is_printable_and_short(text: str) -> None:
    assert refusal_of("str", text).code in (-1100, -1130)


def test_what_is_mandatory_has_to_be_there_and_not_empty() -> None:
    recipe = Recipe([Param(name="symbol", kind="symbol", required=True)])
    for sent in ({}, {"symbol": ""}, {"symbol": None}):
        with pytest.raises(Refusal) as caught:
            recipe.read(sent, LISTED)
        assert caught.value.text == "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."


def test_an_optional_parameter_must_not_be_empty() -> None:
    assert refusal_of("int", "", "limit").text == "Parameter 'limit' was empty."


def test_symbol_and_symbols_exclude_each_other() -> None:
    recipe = Recipe([Param(name="symbol", kind="symbol"), Param(name="symbols", kind="symbols")])
    with pytest.raises(Refusal) as caught:
        recipe.read({"symbol": "BTCUSD", "symbols": '["BTCUSD"]'}, LISTED)
    assert caught.value.code == -1128


def test_unknown_parameters_are_ignored_as_on_binance() -> None:
    assert Recipe([Param(name="a")]).read({"a": "1", "zz": "2"}, LISTED) == {"a": "1"}


def test_the_native_interface_lists_every_problem_at_once() -> None:
    recipe = Recipe(EVERY_KIND, strict=True)
    with pytest.raises(Refusal) as caught:
        recipe.read({"zz": "1", "number": "x", "limit": "5000", "timestamp": "1", "signature": "s"}, LISTED)
    assert [(e["parameter"], e["code"]) for e in caught.value.errors] == [
        ("zz", -1103), ("number", -1100), ("limit", -1130),
    ]  # fmt: skip


WORDS = {
    "text": ("x", "\n"), "number": ("7", "700", "x", ""), "quantity": ("0.1", ".1"), "flag": ("true", "yes"),
    "symbol": ("BTCUSD", "XRPUSD"), "side": ("BUY", "HOLD"), "newClientOrderId": ("a-1", "ä"), "zz": ("1",),
}  # fmt: skip


@given(st.data(), st.booleans())
def test_the_order_in_which_parameters_come_changes_nothing(data: st.DataObject, strict: bool) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(WORDS)), unique=True))
    sent = {name: data.draw(st.sampled_from(WORDS[name])) for name in names}
    recipe = Recipe((*EVERY_KIND, Param(name="must", required=data.draw(st.booleans()))), strict=strict)
    assert _said(recipe, sent) == _said(recipe, dict(data.draw(st.permutations(list(sent.items())))))


def _said(recipe: Recipe, sent: dict[str, str]) -> Any:
    """What a recipe makes of parameters, its problems included."""
    try:
        return recipe.read(sent, LISTED)
    except Refusal as refusal:
        return refusal.code, refusal.text, refusal.errors


def test_a_name_twice_is_refused() -> None:
    for raw in (b"a=1&a=1", b"a=1&%61=2", b"signature=1&signature=2"):
        with pytest.raises(Refusal) as caught:
            read_pairs(raw)
        assert (caught.value.code, caught.value.text) == (-1101, "Duplicate values for a parameter detected.")


def test_pairs_are_percent_decoded() -> None:
    assert read_pairs(b"a=%EF%BC%91&b=x+y&c&&d==") == {"a": "１", "b": "x y", "c": "", "d": "="}


def test_too_many_pairs_are_refused_before_they_are_read() -> None:
    with pytest.raises(Refusal) as caught:
        read_pairs(b"&".join(b"a%d=1" % i for i in range(MAX_PAIRS + 1)))
    assert caught.value.code == -1101


def test_json_numbers_keep_the_digits_they_were_sent_with() -> None:
    sent = plain(read_json(b'{"price":0.00000001,"quantity":1.10,"timestamp":1700000000000,"flag":true,"none":null}'))
    assert sent == {"price": "0.00000001", "quantity": "1.10", "timestamp": "1700000000000", "flag": "true"}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"1", b'"a"', b"{'a':1}", b"\xff", b"[" * 100_000, b'{"a":NaN}'])
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_object(raw)
    assert caught.value.code == -1135


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_no_bytes_break_the_reading_of_pairs(raw: bytes) -> None:
    try:
        Recipe(EVERY_KIND).read(read_pairs(raw), LISTED)
    except Refusal as refusal:
        assert refusal.code < 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([p.name for p in EVERY_KIND]) | st.text(), JSON, max_size=6), st.booleans())
@settings(max_examples=300)
def test_no_json_breaks_the_reading_of_parameters(sent: dict[str, Any], strict: bool) -> None:
    try:
        found = Recipe(EVERY_KIND, strict=strict).read(plain(sent), LISTED)
    except Refusal as refusal:
        assert refusal.code < 0
    else:
        assert type(found.get("number", 1)) is int
