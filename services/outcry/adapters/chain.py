"""Whether a process heard all that became of the accounts it follows: spans of commits, each leading on. Pure."""

from collections.abc import Collection, Mapping, Sequence

from outcry.facts import Span

Ends = Sequence[tuple[int, int]]  # (part, last seq) of a batch's spans


class Chain:
    """``take`` an account's events when they come, ``link`` the spans behind them; ``begin`` where the ledger stands.

    Before it has begun, a partition's first span is where its chain begins.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._ends: dict[int, int] = {}  # by partition: the last seq of the last span
        self._taken: dict[int, dict[int, int]] = {}  # by partition and account: the last seq of events ahead of it

    def forget(self) -> None:
        """Spans may have been missed unnoticed, as after a lost connection."""
        self.has_begun = False
        self._ends.clear()
        self._taken.clear()

    def begin(self, ends: Mapping[int, int]) -> None:
        """What was committed up to here is taken as told; a partition that is left out has no events yet."""
        self.has_begun = True
        for part, end in ends.items():
            self._ends[part] = max(end, self._ends.get(part, 0))

    def lacks(self, ends: Mapping[int, int]) -> bool:
        """Whether something that was committed up to here has not come."""
        return self.has_begun and any(end > self._ends.get(part, 0) for part, end in ends.items())

    def take(self, account_id: int, ends: Ends) -> bool:
        """Whether an account's events are news: they may come a second time, or too late. Without ends nobody knows."""
        if ends and all(last_seq <= self._known(part, account_id) for part, last_seq in ends):
            return False
        for part, last_seq in ends:
            self._taken.setdefault(part, {})[account_id] = last_seq
        return True

    def link(self, span: Span, followed: Collection[int]) -> list[int]:
        """The followed accounts that missed something: all of them when the span does not lead on."""
        end = self._ends.get(span.part, 0 if self.has_begun else span.after_seq)
        if span.last_seq <= end:
            return []
        self._ends[span.part] = span.last_seq
        taken = self._taken.pop(span.part, {})
        if span.after_seq > end:
            return list(followed)
        named = (account for accounts in (span.told, span.untold) for account in accounts)
        return [account for account in named if account in followed and taken.get(account, 0) < span.last_seq]

    def _known(self, part: int, account_id: int) -> int:
        return max(self._ends.get(part, 0), self._taken.get(part, {}).get(account_id, 0))
