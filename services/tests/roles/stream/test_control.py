"""Control messages of market sockets, and the table of errors in web-socket-streams.md."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcry.roles.stream.control import Complaint, Control, read


def test_a_subscription_is_read() -> None:
    text = '{"method":"SUBSCRIBE","params":["btcusd@trade"],"id":1}'
    assert read(text) == Control("SUBSCRIBE", ["btcusd@trade"], 1)


@pytest.mark.parametrize("request_id", [0, -5, 1 << 62, None, "abc", "9d1c9a2c-8f0e-4f4c-9d6e-5b1f0a7c2d3e"])
def test_the_documented_forms_of_an_id_are_kept(request_id: object) -> None:
    assert read(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": request_id})).id == request_id


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", 3, "Invalid JSON: expected value at line 1 column"),
        ("[]", 2, "Invalid request: expected an object"),
        ('{"method":"SUBSCRIBE","params":["a"]}', 2, "Invalid request: request ID must be an unsigned integer"),
        (
            '{"method":"SUBSCRIBE","params":["a"],"id":1.5}',
            2,
            "Invalid request: request ID must be an unsigned integer",
        ),
        ('{"method":"SUBSCRIBE","params":["a"],"id":true}', 2, "Invalid request: request ID must be an unsigned"),
        ('{"params":["a"],"id":1}', 2, "Invalid request: missing field `method` at line 1 column 23"),
        (
            '{"method":"subscribe","id":1}',
            2,
            "Invalid request: unknown variant `subscribe`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
            "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 29",
        ),
        ('{"method":"SUBSCRIBE","params":["a"],"id":1,"x":1}', 2, "Invalid request: too many parameters"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "Invalid request: params must be an array of stream names"),
        ('{"method":"SUBSCRIBE","params":"a","id":1}', 2, "Invalid request: params must be an array"),
        ('{"method":"SUBSCRIBE","id":1}', 2, "Invalid request: params must be an array of stream names"),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":[5],"id":1}', 2, "Invalid request: property name must be a string"),
        ('{"method":"GET_PROPERTY","id":1}', 2, "Invalid request: property name must be a string"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "Invalid value type: expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["combined",true,1],"id":1}', 2, "Invalid request: too many parameters"),
    ],
)
def test_what_is_wrong_is_said_in_binance_words(text: str, code: int, words: str) -> None:
    with pytest.raises(Complaint) as caught:
        read(text)
    assert caught.value.answer["code"] == code
    assert caught.value.answer["msg"].startswith(words)


@given(
    st.text(max_size=60)
    | st.builds(
        json.dumps,
        st.dictionaries(
            st.sampled_from(["method", "params", "id", "x"]),
            st.one_of(
                st.none(),
                st.integers(),
                st.text(max_size=5),
                st.lists(st.text(max_size=5)),
                st.sampled_from(["SUBSCRIBE"]),
            ),
        ),
    )
)
def test_any_text_is_either_a_request_or_a_complaint(text: str) -> None:
    try:
        assert isinstance(read(text), Control)
    except Complaint as complaint:
        assert complaint.answer["code"] in (0, 1, 2, 3)
