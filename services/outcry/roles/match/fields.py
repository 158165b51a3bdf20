"""The fields of one jsonl command, each read by its rule; what breaks a rule is NotACommand with field, rule, value."""

from typing import Any, Final

from outcry.market.commands import PlaceOrder
from outcry.market.instrument import MAX_PRICE_TICKS
from outcry.market.terms import (
    BASIS_POINTS,
    BUY,
    GTC,
    LIMIT,
    MARKET,
    PRICED_TYPES,
    SELL,
    STOP_TYPES,
    STP_NAMES,
    STP_NONE,
    TIF_NAMES,
    TYPE_NAMES,
)
from outcry.roles.match.script import SYMBOL_ID, NotACommand

MAX_WHOLE: Final = 1 << 53  # what every JSON reader keeps exactly

TYPES: Final = {name: code for code, name in TYPE_NAMES.items()}
TIFS: Final = {name: code for code, name in TIF_NAMES.items()}
STPS: Final = {name: code for code, name in STP_NAMES.items()}
MISSING: Final = object()


class Fields:
    """Reads fields by name and remembers which; ``nothing_else`` refuses the rest."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        self._read: dict[str, None] = {}

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of ``allowed``."""
        value = self._take(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise self._wrong(name, f"one of {' '.join(allowed)}", value)
        return value

    def order_id(self, name: str, default: int | None = None) -> int:
        return self._whole(name, (0, MAX_WHOLE), default)

    def account(self) -> int:
        return self._whole("account", (0, MAX_WHOLE), 0)

    def lots(self, name: str, default: int | None = None) -> int:
        return self._whole(name, (1, MAX_WHOLE), default)

    def price(self, name: str) -> int:
        return self._whole(name, (1, MAX_PRICE_TICKS - 1))

    def side(self) -> int:
        return BUY if self.choice("side", ("buy", "sell")) == "buy" else SELL

    def nested(self, name: str) -> "Fields":
        """An object of its own."""
        value = self._take(name, None)
        if not isinstance(value, dict):
            raise self._wrong(name, "a JSON object", value)
        return Fields(value, f"{name}.")

    def nothing_else(self) -> None:
        """Refuses fields that nobody asked for."""
        for name, value in self._values.items():
            if name not in self._read:
                raise self._wrong(name, "no such field in this command", value)

    def order(self, side: int, account: int, qty: int = 0) -> PlaceOrder:
        """A new order, without its hold; ``qty`` is that of the list whose leg it is."""
        kind = TYPES[self.choice("type", tuple(TYPES), TYPE_NAMES[LIMIT])]
        quote_qty = 0
        if not qty and kind == MARKET and "quote_qty" in self._values:
            quote_qty = self.lots("quote_qty")
        elif not qty:
            qty = self.lots("qty")
        is_stop = kind in STOP_TYPES
        trail = self._whole("trail", (1, BASIS_POINTS - 1), 0) if is_stop else 0
        return PlaceOrder(
            command_id=0,
            symbol_id=SYMBOL_ID,
            order_id=self.order_id("id"),
            account=account,
            client_order_id="",
            side=side,
            type=kind,
            qty=qty,
            price=self.price("price") if kind in PRICED_TYPES else 0,
            tif=TIFS[self.choice("tif", tuple(TIFS), TIF_NAMES[GTC])],
            quote_qty=quote_qty,
            stop_price=self._stop(trail) if is_stop else 0,
            trail_bps=trail,
            iceberg_qty=self.lots("iceberg", 0) if kind in PRICED_TYPES else 0,
            stp=STPS[self.choice("stp", tuple(STPS), STP_NAMES[STP_NONE])],
        )

    def _stop(self, trail: int) -> int:
        return 0 if trail and "stop" not in self._values else self.price("stop")

    def _take(self, name: str, default: Any) -> Any:
        self._read[name] = None
        value = self._values.get(name, MISSING)
        if value is not MISSING:
            return value
        if default is None:
            raise self._wrong(name, "required", "missing")
        return default

    def _whole(self, name: str, bounds: tuple[int, int], default: int | None = None) -> int:
        value = self._take(name, default)
        low, high = bounds
        if default is not None and name not in self._values:
            return default
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}", value)
        return value

    def _wrong(self, name: str, rule: str, value: object) -> NotACommand:
        return NotACommand(f"{self._prefix}{name}, {rule}, {str(value)[:80]}")
