"""The demo venue: eight symbols against USD, two accounts with documented keys, and the crowd that makes the market."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from outcry.agents.crowd import ACCOUNTS as CROWD
from outcry.market.instrument import Instrument
from outcry.market.terms import FEE_ACCOUNT, MINOR_UNITS
from outcry.ports import Registry
from outcry.rows import AccountRow, KeyRow

QUOTE: Final = "USD"
FEE_PPM: Final = 1_000  # 0.1 %, maker and taker
DEMO_ACCOUNTS: Final = (1001, 1002)
DEMO_KEYS: Final = (
    ("outcry-demo-key-1", "outcry-demo-secret-1", 1001),
    ("outcry-demo-key-2", "outcry-demo-secret-2", 1002),
)
DEMO_SCOPES: Final = "read,trade"
DEMO_USD: Final = 10_000_000 * MINOR_UNITS
DEMO_WORTH: Final = 6_000_000 * MINOR_UNITS  # of each other asset, at its reference price: 100 BTC
CROWD_WORTH: Final = 1_000_000_000 * MINOR_UNITS  # of each asset, for each trader of the crowd


class Pair(NamedTuple):
    """One demo symbol. ``reference`` and ``highest`` are ticks."""

    symbol_id: int
    base: str
    tick_size: int
    lot_size: int
    reference: int
    highest: int


PAIRS: Final = (
    Pair(1, "BTC", 1_000_000, 1_000, 6_000_000, 100_000_000),  # 60,000.00, lots of 0.00001
    Pair(2, "ETH", 1_000_000, 10_000, 300_000, 10_000_000),  # 3,000.00, lots of 0.0001
    Pair(3, "ADA", 10_000, 10_000_000, 5_000, 1_000_000),  # 0.5000, lots of 0.1
    Pair(4, "DOT", 100_000, 1_000_000, 8_000, 1_000_000),  # 8.000, lots of 0.01
    Pair(5, "SOL", 1_000_000, 100_000, 15_000, 1_000_000),  # 150.00, lots of 0.001
    Pair(6, "LINK", 100_000, 1_000_000, 16_000, 1_000_000),  # 16.000, lots of 0.01
    Pair(7, "AVAX", 1_000_000, 1_000_000, 4_000, 1_000_000),  # 40.00, lots of 0.01
    Pair(8, "MATIC", 10_000, 10_000_000, 8_000, 1_000_000),  # 0.8000, lots of 0.1
)


def instrument_of(pair: Pair, assets: dict[str, int], partitions: int) -> Instrument:
    """The terms of one demo symbol; ``assets`` are ids by name."""
    return Instrument(
        symbol_id=pair.symbol_id,
        symbol=pair.base + QUOTE,
        partition=(pair.symbol_id - 1) % partitions,
        base=pair.base,
        quote=QUOTE,
        base_asset=assets[pair.base],
        quote_asset=assets[QUOTE],
        tick_size=pair.tick_size,
        lot_size=pair.lot_size,
        max_price=pair.highest,
        min_notional=5 * MINOR_UNITS,
    )


def accounts(now_ms: int, *, crowd: bool) -> list[AccountRow]:
    """The accounts of the demo venue; the crowd trades without fees, so that it never runs dry."""
    demo = [AccountRow(n, f"demo-{i}", FEE_PPM, FEE_PPM, 0, now_ms) for i, n in enumerate(DEMO_ACCOUNTS, 1)]
    traders = [AccountRow(n, f"crowd-{i}", 0, 0, 0, now_ms) for i, n in enumerate(CROWD, 1)] if crowd else []
    return [AccountRow(FEE_ACCOUNT, "fees", 0, 0, 0, now_ms), *demo, *traders]


def deposits(*, crowd: bool) -> list[tuple[int, str, int]]:
    """What everybody starts with: (account, asset, minor units)."""
    start = [(n, QUOTE, DEMO_USD) for n in DEMO_ACCOUNTS]
    start += [(n, pair.base, units_worth(pair, DEMO_WORTH)) for n in DEMO_ACCOUNTS for pair in PAIRS]
    if crowd:
        start += [(n, QUOTE, CROWD_WORTH) for n in CROWD]
        start += [(n, pair.base, units_worth(pair, CROWD_WORTH)) for n in CROWD for pair in PAIRS]
    return start


def units_worth(pair: Pair, money: int) -> int:
    """Base minor units worth ``money`` quote minor units at the reference price."""
    return money * MINOR_UNITS // (pair.reference * pair.tick_size)


class WithoutDemoKeys:
    """A key book in which the documented keys do not exist: for an exchange that others can reach."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]:
        documented = {name for name, _, _ in DEMO_KEYS}
        return await self._registry.credentials([name for name in api_keys if name not in documented])
