"""What the engine must remember of order ids: those applied within their bound, and cancels that came too early."""

from collections import defaultdict
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final

from outcry.market.commands import CancelAll, CancelOrder
from outcry.rows import ListRow, OrderRow

SLICE_MS: Final = 1024  # ids are forgotten together with all whose bound lies in the same slice of time
MAX_WAITING: Final = 10_000  # orders that cancels wait for; a cancel beyond is answered by the ledger alone
LONGEST_BOUND_MS: Final = 600_000  # no order is valid for longer after its intake; a restored mark is kept as long


class Window:
    """The order ids that had their effect, each until log time has passed its bound.

    Past the bound a copy is ignored for being late, so memory holds only what is still valid.
    """

    def __init__(self, applied: Iterable[tuple[int, int]]) -> None:
        self._known: set[int] = set()
        self._slices: dict[int, list[int]] = {}
        self._order: list[int] = []  # a heap of the slices' numbers
        slices: dict[int, list[int]] = defaultdict(list)
        for order_id, valid_until_ms in applied:
            slices[valid_until_ms // SLICE_MS].append(order_id)
        for number, ids in slices.items():
            self._known.update(ids)
            self._slices[number] = ids
            heappush(self._order, number)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, order_id: int, valid_until_ms: int) -> None:
        """Knows the id until ``forget`` is given a time past ``valid_until_ms``."""
        self._known.add(order_id)
        number = valid_until_ms // SLICE_MS
        ids = self._slices.get(number)
        if ids is None:
            self._slices[number] = ids = []
            heappush(self._order, number)
        ids.append(order_id)

    def forget(self, log_time: int) -> None:
        """Drops every slice that log time has left behind."""
        while self._order and self._order[0] < log_time // SLICE_MS:
            self._known.difference_update(self._slices.pop(heappop(self._order)))


class Marks:
    """Orders to cancel on arrival, because their cancel overtook them in the log.

    A mark past its bound can do no harm, as its order would be late: it is dropped when another one comes.
    """

    def __init__(self, order_ids: Iterable[int], log_time: int) -> None:
        self._bounds = dict.fromkeys(order_ids, log_time + LONGEST_BOUND_MS)

    def __len__(self) -> int:
        return len(self._bounds)

    def add(self, order_id: int, valid_until_ms: int, log_time: int) -> bool:
        """Marks an order that has not come; False when it is marked already."""
        if order_id in self._bounds:
            return False
        if len(self._bounds) % 64 == 63:
            self._bounds = {known: bound for known, bound in self._bounds.items() if bound >= log_time}
        self._bounds[order_id] = valid_until_ms
        return True

    def arrived(self, order_id: int) -> bool:
        """Whether the order that now comes was marked; the mark has done its work."""
        return self._bounds.pop(order_id, None) is not None


class Overtaker:
    """A cancel whose answer to ``reply_to`` waits until every order that it overtook has come.

    ``coming`` are those orders with their bounds; ``canceled`` and ``lists`` are what ended for the cancel so far.
    """

    __slots__ = ("canceled", "coming", "command", "lists", "reply_to")

    def __init__(self, command: CancelOrder | CancelAll, coming: Iterable[tuple[int, int]], reply_to: str = "") -> None:
        self.command = command
        self.reply_to = reply_to
        self.coming = dict(coming)
        self.canceled: dict[int, OrderRow] = {}
        self.lists: dict[int, ListRow] = {}

    def note(self, canceled: Iterable[OrderRow], lists: Iterable[ListRow]) -> None:
        """Takes note of orders that ended, as they then are, and of their lists."""
        self.canceled |= {row.order_id: row for row in canceled}
        self.lists |= {row.list_id: row for row in lists}


class Waiting:
    """Cancels whose answer waits for the orders that they overtook. Lost with the process: they are no state."""

    def __init__(self) -> None:
        self._cancels: dict[int, list[Overtaker]] = {}
        self._count = 0

    def add(self, cancel: Overtaker, log_time: int) -> None:
        """Lets a cancel wait for all that is ``coming``, if it wants an answer and there is room."""
        if not cancel.command.command_id:
            return
        if self._count + len(cancel.coming) > MAX_WAITING:
            self._drop_hopeless(log_time)
        if self._count + len(cancel.coming) <= MAX_WAITING:
            self._count += len(cancel.coming)
            for order_id in cancel.coming:
                self._cancels.setdefault(order_id, []).append(cancel)

    def pop(self, order_id: int) -> list[Overtaker]:
        """The cancels that waited for an order, in their order; it is not ``coming`` any more."""
        found = self._cancels.pop(order_id, [])
        self._count -= len(found)
        for cancel in found:
            del cancel.coming[order_id]
        return found

    def _drop_hopeless(self, log_time: int) -> None:
        """Orders past their bounds never come: what becomes of their cancels is the ledger's to say."""
        for order_id, cancels in list(self._cancels.items()):
            if cancels[0].coming[order_id] < log_time:
                self._count -= len(self._cancels.pop(order_id))
