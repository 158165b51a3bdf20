"""What changed in a book over a stretch of time, merged per symbol and never per client."""

from outcry.ports import MarketUpdate


class Changes:
    """Levels that changed in a window of time, merged: what counts is their last quantity."""

    __slots__ = ("first_u", "last_u", "levels", "time_ms")

    def __init__(self) -> None:
        self.levels: dict[tuple[int, int], int] = {}
        self.first_u = self.last_u = self.time_ms = 0

    def add(self, update: MarketUpdate) -> None:
        """Counts one update that follows what was counted before."""
        if not self.first_u:
            self.first_u = update.first_u
        self.last_u = update.last_u
        self.time_ms = update.time_ms
        for side, price, lots in update.levels:
            self.levels[(side, price)] = lots
