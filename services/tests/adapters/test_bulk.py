"""Rows go in and come out in bulk as they would one by one, however many they are."""

import json
import sqlite3
from collections.abc import Iterator

import pytest

from outcry.adapters.sqlite.bulk import SIZES, Bulk, insert, update, upsert

COLUMNS = ("id", "word", "number")
COUNTS = (1, 5, 17, 37, 100, 385, 400, 511, 767, 769, 1537)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT, number INTEGER)")
    yield db
    db.close()


def rows(count: int) -> list[tuple[int, str, int]]:
    return [(n, f"w{n}", n * n) for n in range(1, count + 1)]


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_goes_in_once_however_many_there_are(db: sqlite3.Connection, count: int) -> None:
    put = insert("things", COLUMNS)
    assert put.run(db, rows(count)) == count
    assert db.execute("SELECT * FROM things ORDER BY id").fetchall() == rows(count)
    with pytest.raises(sqlite3.IntegrityError):
        put.run(db, rows(count)[-1:])


@pytest.mark.parametrize("count", COUNTS)
def test_changes_reach_every_row_that_is_there(db: sqlite3.Connection, count: int) -> None:
    insert("things", COLUMNS).run(db, rows(count)[::2])
    assert update("things", "id", ("number",)).run(db, [(n, -n) for n in range(1, count + 1)]) == (count + 1) // 2
    assert upsert("things", COLUMNS, ("id",)).run(db, [(n, "", 7) for n in range(1, count + 1)]) == count
    assert db.execute("SELECT count(*), sum(number) FROM things WHERE word = ''").fetchone() == (count, 7 * count)


@pytest.mark.parametrize("count", COUNTS)
def test_a_question_about_many_rows_is_asked_about_each(db: sqlite3.Connection, count: int) -> None:
    insert("things", COLUMNS).run(db, rows(count))
    question = Bulk("SELECT json_group_array(id) FROM ", 1, " AS given CROSS JOIN things ON id = given.column1")
    found = [n for text in question.ask(db, [(n,) for n in range(count, 0, -1)]) for n in json.loads(text)]
    assert sorted(found) == list(range(1, count + 1))


@pytest.mark.parametrize("count", [*SIZES, *(size + 1 for size in SIZES)])
def test_few_rows_of_padding_are_sent(count: int) -> None:
    sent: list[int] = []

    class Listener(sqlite3.Connection):
        def execute(self, text: str, values: list[object] = []) -> sqlite3.Cursor:  # type: ignore[override]  # noqa: B006
            sent.append(len(values))
            return super().execute(text, values)

    db = sqlite3.connect(":memory:", factory=Listener)
    db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT, number INTEGER)")
    insert("things", COLUMNS).run(db, rows(count))
    assert sum(sent) // 3 - count <= max(4, count // 16)
    db.close()
