"""Log lines are for people or for machines, and show no secret in either form."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcry.telemetry import logs
from outcry.telemetry.logs import JsonLines, TextLines, without_passwords
from tests.support.gated import gated

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ADDRESS, SAFE = "postgresql://ann:hunter2@db:5432/outcry", "postgresql://ann:***@db:5432/outcry"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was before at the end."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield root
    root.handlers[:], level = before
    root.setLevel(level)


def record(text: str, *args: object, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("outcry.x", logging.ERROR, "x.py", 1, text, args, sys.exc_info() if error else None)


def told(each: logging.LogRecord) -> dict[str, str]:
    line = JsonLines("pod-7", "engine").format(each)
    assert "\n" not in line
    parsed: dict[str, str] = json.loads(line)
    return parsed


def test_a_line_for_machines_is_one_object_that_says_who_when_and_what() -> None:
    line = told(record("Partition %d halts: %s", 3, "„why“\nand more"))
    at = line.pop("time")
    assert line == {
        "level": "error", "logger": "outcry.x", "message": "Partition 3 halts: „why“\nand more", "pod": "pod-7",
        "role": "engine",
    }  # fmt: skip
    assert at.endswith("Z") and len(at) == len("2026-01-01T00:00:00.000Z")


def test_an_exception_stands_in_its_line() -> None:
    try:
        raise OSError(f"no answer from {ADDRESS}")
    except OSError:
        line = told(record("lost", error=True))
    assert line["error"].startswith("Traceback") and line["error"].endswith(f"OSError: no answer from {SAFE}")


def test_a_line_knows_the_trace_it_belongs_to() -> None:
    token = logs.trace_id.set(TRACE)
    try:
        assert told(record("x"))["trace_id"] == TRACE
    finally:
        logs.trace_id.reset(token)
    assert "trace_id" not in told(record("x"))


def test_passwords_of_addresses_are_shown_in_no_form(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    for form in logs.FORMATS:
        logs.begin("debug", form, pod="p", role="r")
        logging.getLogger("outcry").warning("cannot reach %s", ADDRESS)
    shown = capsys.readouterr().err
    assert shown.count(SAFE) == len(logs.FORMATS) and "hunter2" not in shown
    assert TextLines().format(record(ADDRESS)).endswith(SAFE)


@pytest.mark.parametrize(
    "text", ["redis://:secret@cache:6379/0", "kafka://u:p%40ss@k:9092", "a://u:1@h b://v:2@h"], ids=str
)
def test_an_address_keeps_everything_but_its_password(text: str) -> None:
    safe = without_passwords(text)
    assert safe.count("***@") == text.count("@") and safe.split("@")[-1] == text.split("@")[-1]


def test_what_is_no_password_stays() -> None:
    for text in ("http://host:8080/path", "at 10:30 mail to me@host", "GET /x?u=http://a:80/b"):
        assert without_passwords(text) == text


async def test_a_request_that_fails_is_logged_with_its_trace(
    tmp_path: Path, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gated(tmp_path) as front:
        logs.begin("warning", "json", pod="p", role="api")
        for headers in ({"traceparent": f"00-{TRACE}-{'b' * 16}-01"}, {}):
            assert (await front.ask("GET", "/api/v3/fall", "kind=bug", headers=headers)).status_code == 500
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("trace_id") for line in lines] == [TRACE, None]
    assert all("as the test wished" in line["error"] for line in lines)


def test_a_library_that_repeats_itself_says_one_line_in_a_while_and_nothing_of_ours_is_kept_back() -> None:
    now, lines = [100.0], []
    handler = logging.Handler()
    handler.emit = lambda each: lines.append(f"{each.name}: {each.getMessage()}")  # type: ignore[method-assign]
    handler.addFilter(logs.Sparing(clock=lambda: now[0]))

    def say(name: str, text: str, *args: object) -> None:
        handler.handle(logging.LogRecord(name, logging.ERROR, "x.py", 1, text, args, None))

    for number in range(3):
        say("kafka.net", "lost %d", number)
        say("kafka.cluster", "refresh %d", number)
        say("outcry.x", "ours %d", number)
    now[0] += logs.SILENCE_SECONDS
    say("kafka.net", "lost %d", 3)
    assert [line for line in lines if line.startswith("outcry")] == [f"outcry.x: ours {n}" for n in range(3)]
    assert [line for line in lines if not line.startswith("outcry")] == [
        "kafka.net: lost 0", "kafka.cluster: refresh 0", "kafka.net: lost 3 (2 lines of this logger were left out)",
    ]  # fmt: skip
