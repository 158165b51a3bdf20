"""Log lines on standard error: text for people, one JSON object a line for machines."""

import datetime
import json
import logging
import sys

from outcry_operator.settings import JSON


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message; error where something was raised."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def begin(level: str, form: str) -> None:
    """Logs to standard error from now on."""
    lines = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    lines.setFormatter(JsonLines() if form == JSON else text)
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    for loud in ("urllib3", "kubernetes"):
        logging.getLogger(loud).setLevel(logging.WARNING)
