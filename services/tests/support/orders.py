"""An order as the ledger keeps it, for tests that need one."""

from typing import Any

from outcry.market import terms
from outcry.rows import OrderRow


def order_row(**change: Any) -> OrderRow:
    """A resting limit order to buy 10 lots at 100 ticks, but for what ``change`` says."""
    fields = {
        "order_id": 9, "part": 0, "symbol_id": 1, "account_id": 1001, "client_order_id": "mine", "side": terms.BUY,
        "type": terms.LIMIT, "tif": terms.GTC, "price": 100, "qty": 10, "quote_qty": 0, "stop_price": 0,
        "trail_bps": 0, "iceberg_qty": 0, "stp": 0, "status": terms.NEW, "executed": 0, "cum_quote": 0, "held": 0,
        "visible": 10, "prevented": 0, "stage": 0, "trail_ref": 0, "priority_seq": 1, "list_id": -1, "maker_ppm": 1000,
        "taker_ppm": 1000, "strategy_id": 0, "strategy_type": 0, "placed_ms": 500, "updated_ms": 600,
        "working_ms": 500, "applied_offset": 3, "code": 0, "text": "", "open": 1,
    }  # fmt: skip
    return OrderRow(**{**fields, **change})
