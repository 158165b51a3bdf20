"""What a ledger tells while it reads a partition: pieces, so that a book is built while the rest is on its way."""

from typing import Protocol

from outcry.rows import OrderRow, PartState


class Restoring(Protocol):
    """Builds a partition while it is read, so that neither waits for the other; not called in the event loop."""

    def begin(self, state: PartState) -> None:
        """Everything but the open orders."""

    def go_on(self, orders: list[OrderRow]) -> None:
        """The next open orders, by (symbol_id, priority_seq)."""
