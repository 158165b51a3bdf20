"""The real clock, made so that it never runs backwards within one process."""

import time


class SystemClock:
    """Wall-clock time as whole milliseconds or microseconds since 1970.

    A clock that is set back stands still until the old time is reached again, so that no bound
    that was promised ("valid until") is ever moved.
    """

    def __init__(self) -> None:
        self._latest_us = 0

    def now_us(self) -> int:
        self._latest_us = max(self._latest_us, time.time_ns() // 1_000)
        return self._latest_us

    def now_ms(self) -> int:
        return self.now_us() // 1_000
