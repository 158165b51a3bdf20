"""Moments as whole milliseconds since 1970 inside, as RFC 3339 in the objects of the cluster."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """A moment as the API server keeps it, to the millisecond."""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"


def micro_time(at_ms: int) -> str:
    """A moment as fields of type MicroTime want it."""
    return rfc3339(at_ms)[:-1] + "000Z"


def millis(text: str | None) -> int:
    """The moment of a text, 0 where there is none. Raises ValueError."""
    if not text:
        return 0
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
