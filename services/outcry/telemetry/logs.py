"""Log lines: text for people, one JSON object a line for machines; neither ever shows a password of an address."""

import datetime
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

TEXT: Final = "text"
JSON: Final = "json"
FORMATS: Final = (TEXT, JSON)

REPETITIVE: Final = ("kafka", "asyncpg")  # libraries that say the same many times a second while a component is away
SILENCE_SECONDS: Final = 10.0

trace_id: ContextVar[str] = ContextVar("trace_id", default="")  # of the request that is being answered

_PASSWORD: Final = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def without_passwords(text: str) -> str:
    """The text with the passwords in its addresses (scheme://user:password@host) replaced by stars."""
    return _PASSWORD.sub(r"\1:***@", text)


class TextLines(logging.Formatter):
    """``time level logger: message``, and what was raised in the lines below."""

    def __init__(self) -> None:
        super().__init__(_LINE)

    def format(self, record: logging.LogRecord) -> str:
        return without_passwords(super().format(record))


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, pod, role; error and trace_id where there is one."""

    def __init__(self, pod: str, role: str) -> None:
        super().__init__()
        self._who = {"pod": pod, "role": role}

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
            **self._who,
        }
        trace = getattr(record, "trace_id", "") or trace_id.get()
        if trace:
            line["trace_id"] = trace
        if record.exc_info:
            line["error"] = without_passwords(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class Sparing(logging.Filter):
    """Lets each logger of a repetitive library say one line in a while; that one tells how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._silent: dict[str, tuple[float, int]] = {}  # until when, and how many lines it has kept back

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in REPETITIVE:
            return True
        until, kept = self._silent.get(record.name, (0.0, 0))
        if self._clock() < until:
            self._silent[record.name] = until, kept + 1
            return False
        if kept:
            record.msg, record.args = f"{record.getMessage()} ({kept} lines of this logger were left out)", ()
        self._silent[record.name] = self._clock() + SILENCE_SECONDS, 0
        return True


def begin(level: str, form: str, *, pod: str, role: str) -> None:
    """Logs to standard error from now on."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines(pod, role) if form == JSON else TextLines())
    lines.addFilter(Sparing())
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    for loud in ("uvicorn.error", "kafka", "alembic"):
        logging.getLogger(loud).setLevel(logging.WARNING)
