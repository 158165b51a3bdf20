"""`outcry match` is a filter: one JSON object a line in, one a line out."""

import io
import json
import sys
from typing import Any

import pytest

from outcry.roles.match import main


@pytest.fixture
def match(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs the filter in process on lines; gives exit status, decoded lines, and what went to standard error."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]], str]:
        source = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
        monkeypatch.setattr(sys, "stdin", source)
        status = main(list(options))
        out, err = capfdbinary.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err.decode()

    return run


SELL_10_AT_100 = '{"op":"new","id":1,"side":"sell","qty":10,"price":100}'


def test_events_name_the_command_that_caused_them(match: Any) -> None:
    _, lines, _ = match(SELL_10_AT_100, '{"op":"new","id":2,"side":"buy","qty":4,"price":101}')
    assert lines == [
        {"event": "accepted", "n": 1, "id": 1},
        {"event": "accepted", "n": 2, "id": 2},
        {"event": "traded", "n": 2, "price": 100, "qty": 4, "maker": 1, "taker": 2},
    ]


def test_the_book_and_a_queue_are_shown_best_and_first_first(match: Any) -> None:
    _, lines, _ = match(
        SELL_10_AT_100,
        '{"op":"new","id":2,"side":"sell","qty":50,"price":100,"iceberg":5}',
        '{"op":"new","id":3,"side":"sell","qty":1,"price":99}',
        '{"op":"new","id":4,"side":"buy","qty":2,"price":90}',
        '{"op":"book"}',
        '{"op":"book","depth":1}',
        '{"op":"queue","side":"sell","price":100}',
    )
    assert lines[4:] == [
        {"event": "book", "n": 5, "bids": [[90, 2]], "asks": [[99, 1], [100, 15]]},
        {"event": "book", "n": 6, "bids": [[90, 2]], "asks": [[99, 1]]},
        {"event": "queue", "n": 7, "orders": [[1, 10], [2, 50]]},
    ]


def test_a_replaced_order_has_a_new_id_and_goes_to_the_back(match: Any) -> None:
    _, lines, _ = match(
        SELL_10_AT_100,
        '{"op":"new","id":2,"side":"sell","qty":5,"price":100}',
        '{"op":"replace","id":1,"price":100,"qty":8,"new_id":7}',
        '{"op":"queue","side":"sell","price":100}',
        '{"op":"replace","id":2,"price":99,"qty":3}',
        '{"op":"queue","side":"sell","price":99}',
    )
    assert lines[2:] == [
        {"event": "replaced", "n": 3, "id": 1, "left": 10, "new_id": 7},
        {"event": "queue", "n": 4, "orders": [[2, 5], [7, 8]]},
        {"event": "replaced", "n": 5, "id": 2, "left": 5, "new_id": 2},
        {"event": "queue", "n": 6, "orders": [[2, 3]]},
    ]


def test_changes_of_what_is_not_open_are_rejected(match: Any) -> None:
    status, lines, _ = match(
        '{"op":"cancel","id":5}', '{"op":"amend","id":5,"qty":1}', '{"op":"replace","id":5,"qty":1,"price":1}'
    )
    assert status == 0
    assert [(line["event"], line["id"], line["op"]) for line in lines] == [
        ("rejected", 5, "cancel"), ("rejected", 5, "amend"), ("rejected", 5, "replace"),
    ]  # fmt: skip


def test_an_oco_ends_its_other_leg(match: Any) -> None:
    _, lines, _ = match(
        '{"op":"new","id":1,"side":"buy","qty":5,"price":100}',
        '{"op":"new","id":2,"side":"sell","qty":1,"price":100}',
        '{"op":"oco","side":"sell","qty":4,"above":{"id":3,"type":"LIMIT_MAKER","price":110},'
        '"below":{"id":4,"type":"STOP_LOSS","stop":95}}',
        '{"op":"new","id":5,"side":"buy","qty":1,"price":110}',
    )
    assert [(line["event"], line.get("id"), line.get("left")) for line in lines if line["n"] == 4] == [
        ("accepted", 5, None), ("expired", 4, 4), ("traded", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("not json", "line", "not json"),
        ("[1]", "line", "[1]"),
        ('{"op":"buy"}', "op", "buy"),
        ('{"op":"new","id":1,"side":"sell","qty":1}', "price", "missing"),
        ('{"op":"new","id":1,"side":"sell","qty":1.5,"price":1}', "qty", "1.5"),
        ('{"op":"new","id":1,"side":"sell","qty":true,"price":1}', "qty", "True"),
        ('{"op":"new","id":1,"side":"sell","qty":0,"price":1}', "qty", "0"),
        ('{"op":"new","id":1,"side":"sell","qty":1,"price":8589934592}', "price", "8589934592"),
        ('{"op":"new","id":1,"side":"up","qty":1,"price":1}', "side", "up"),
        ('{"op":"new","id":1,"side":"buy","qty":1,"price":1,"size":3}', "size", "3"),
        ('{"op":"new","id":1,"side":"buy","type":"STOP_LOSS","qty":1}', "stop", "missing"),
        ('{"op":"oco","side":"buy","qty":1,"above":{"id":1,"price":0},"below":{}}', "above.price", "0"),
        ('{"op":"cancel"}', "id", "missing"),
    ],
)
def test_a_line_that_is_no_command_ends_it(match: Any, line: str, field: str, value: str) -> None:
    status, lines, err = match(SELL_10_AT_100, line, SELL_10_AT_100)
    assert status == 2
    assert [answer["event"] for answer in lines] == ["accepted"]
    assert err.startswith(f"line 2: {field}, ") and err.endswith(f", {value}\n")


def test_stats_are_one_line_with_the_checksum_of_what_was_written(match: Any) -> None:
    _, _, err = match(SELL_10_AT_100, "", '{"op":"cancel","id":1}', options=("--stats",))
    figures = json.loads(err)
    assert set(figures) == {"commands", "events", "seconds", "commands_per_second", "compiled", "sha256"}
    assert (figures["commands"], figures["events"]) == (2, 2)


def test_a_missing_file_is_said_plainly(match: Any) -> None:
    status, _, err = match(options=("no-such-file.jsonl",))
    assert status == 2 and err.startswith("no-such-file.jsonl: ")
