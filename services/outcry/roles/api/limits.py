"""Request weights and order counts: what has been used, when it is too much, and how a response tells it.

Source: Binance ``rest-api.md`` "LIMITS", and draft-ietf-httpapi-ratelimit-headers-11 for ``/v1``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from outcry.ports import Barred, Clock, Shared, Spending
from outcry.roles.api.errors import Refusal

BAN_AFTER: Final = 200  # refused requests of one address within a minute
FIRST_BAN_MS: Final = 2 * 60_000
LONGEST_BAN_MS: Final = 3 * 86_400_000
BANS_REMEMBERED_MS: Final = 7 * 86_400_000
NO_LIMIT: Final = 1 << 53

_INTERVAL_MS: Final = {"SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}


class Limit(NamedTuple):
    """At most ``limit`` per ``number`` intervals; ``kind`` is REQUEST_WEIGHT (per address) or ORDERS (per account)."""

    kind: str
    interval: str
    number: int
    limit: int

    @property
    def window_ms(self) -> int:
        return self.number * _INTERVAL_MS[self.interval]


class Spent(NamedTuple):
    """How much of a limit is used, and the milliseconds until it starts anew."""

    limit: Limit
    used: int
    resets_ms: int


class Cost(NamedTuple):
    """What is to be spent of a limit, and under which key that is counted."""

    limit: Limit
    key: str
    cost: int


class Profile(NamedTuple):
    """One setting of ``OUTCRY_LIMITS``. Enforced when ``enforced``, counted always."""

    weight: Limit
    orders: Limit
    orders_day: Limit
    enforced: bool
    bans: bool
    connects: int  # WebSocket connects per address and 5 minutes
    controls: int  # WebSocket control messages per connection and second
    streams: int  # streams per connection


def _profile(weight: int, orders: int, orders_day: int, **rest: Any) -> Profile:
    return Profile(
        Limit("REQUEST_WEIGHT", "MINUTE", 1, weight),
        Limit("ORDERS", "SECOND", 10, orders),
        Limit("ORDERS", "DAY", 1, orders_day),
        **rest,
    )


PROFILES: Final = {
    "binance": _profile(6_000, 50, 160_000, enforced=True, bans=True, connects=300, controls=5, streams=1024),
    "high": _profile(
        6_000_000,
        1_000_000,
        2_000_000_000,
        enforced=True,
        bans=False,
        connects=100_000,
        controls=1_000,
        streams=1024,
    ),
    "off": _profile(
        6_000_000,
        1_000_000,
        2_000_000_000,
        enforced=False,
        bans=False,
        connects=1 << 40,
        controls=1 << 40,
        streams=1 << 20,
    ),
}


class Limits:
    """Counts by the port Shared, so that all pods count together. Stateless: make one wherever it is needed."""

    def __init__(self, shared: Shared, clock: Clock, profile: str) -> None:
        self._shared = shared
        self._clock = clock
        self.profile = PROFILES[profile]

    async def weigh(self, client_ip: str, weight: int) -> Spent:
        """Spends request weight. Raises Refusal -1003 (429 or 418)."""
        (spent,) = await self.charge(client_ip, weight)
        return spent

    async def charge(self, client_ip: str, weight: int, account_id: int = 0, orders: int = 0) -> tuple[Spent, ...]:
        """Spends request weight and, unless that is too much, counts new orders if there are any.

        Raises Refusal -1003 and -1015.
        """
        costs = [Cost(self.profile.weight, "weight:" + client_ip, weight)]
        if orders:
            costs += self._orders(account_id, orders)
        spent = await self._spend(costs, client_ip)
        if self._is_over(spent[0]):
            await self._note_offence(client_ip)
            raise _too_much_weight(spent[0])
        if orders and self._is_over(spent[-1]):
            raise _too_many_orders(spent[0], spent[-1])
        return spent

    async def count_orders(self, account_id: int, orders: int) -> tuple[Spent, ...]:
        """Counts new orders, by 10 s and by day; 0 only looks. Raises Refusal -1015."""
        spent = await self._spend(self._orders(account_id, orders))
        if orders and self._is_over(spent[-1]):
            raise _too_many_orders(spent[-1])
        return spent

    def _orders(self, account_id: int, orders: int) -> list[Cost]:
        profile, account = self.profile, str(account_id)
        return [
            Cost(profile.orders, "orders10s:" + account, orders),
            Cost(profile.orders_day, "orders1d:" + account, orders),
        ]

    def _is_over(self, spent: Spent) -> bool:
        return self.profile.enforced and spent.used > spent.limit.limit

    async def _spend(self, costs: Sequence[Cost], client_ip: str | None = None) -> tuple[Spent, ...]:
        """Spends up to the first that passes its limit. Raises Refusal 418 for an address that is banned."""
        spendings = [
            Spending(key, cost, limit.limit if self.profile.enforced and cost else NO_LIMIT, limit.window_ms)
            for limit, key, cost in costs
        ]
        unless = "" if client_ip is None or not self.profile.bans else "ban:" + client_ip
        try:
            spent = await self._shared.spend(spendings, unless=unless)
        except Barred as ban:
            self._refuse_banned(str(ban))
            spent = await self._shared.spend(spendings)
        return tuple([Spent(cost.limit, *used) for cost, used in zip(costs, spent, strict=False)])

    def _refuse_banned(self, until: str) -> None:
        left_ms = int(until) - self._clock.now_ms()
        if left_ms > 0:
            spent = Spent(self.profile.weight, self.profile.weight.limit, left_ms)
            raise _refusal(
                -1003,
                f"Way too much request weight used; IP banned until {until}. "
                "Please use WebSocket Streams for live updates to avoid bans.",
                spent,
                status=418,
            )

    async def _note_offence(self, client_ip: str) -> None:
        if not self.profile.bans:
            return
        offences = await self._count("over:" + client_ip, 60_000)
        if offences != BAN_AFTER:
            return
        bans = await self._count("bans:" + client_ip, BANS_REMEMBERED_MS)
        length_ms = min(FIRST_BAN_MS << min(bans - 1, 20), LONGEST_BAN_MS)
        await self._shared.put("ban:" + client_ip, str(self._clock.now_ms() + length_ms), length_ms)

    async def _count(self, key: str, window_ms: int) -> int:
        ((used, _),) = await self._shared.spend([Spending(key, 1, NO_LIMIT, window_ms)])
        return used


def rate_limits(spent: Sequence[Spent]) -> list[dict[str, Any]]:
    """The WebSocket API's ``rateLimits``, orders first."""
    ordered = sorted(spent, key=lambda s: s.limit.kind)
    return [_described(s.limit) | {"count": s.used} for s in ordered]


def announced(profile: str) -> list[dict[str, Any]]:
    """The limits as exchangeInfo lists them."""
    chosen = PROFILES[profile]
    return [_described(limit) for limit in (chosen.weight, chosen.orders, chosen.orders_day)]


def mbx_headers(spent: Sequence[Spent]) -> list[tuple[bytes, bytes]]:
    """X-MBX-USED-WEIGHT and X-MBX-ORDER-COUNT headers."""
    headers = []
    for limit, used, _ in spent:
        value = b"%d" % used
        if limit.kind == "REQUEST_WEIGHT":
            headers += [(b"x-mbx-used-weight", value), (b"x-mbx-used-weight-1m", value)]
        else:
            headers.append((b"x-mbx-order-count-10s" if limit.interval == "SECOND" else b"x-mbx-order-count-1d", value))
    return headers


def ietf_headers(spent: Sequence[Spent]) -> list[tuple[bytes, bytes]]:
    """RateLimit-Policy and RateLimit of the native interface; the daily order limit is left out."""
    policies, states = [], []
    for limit, used, resets_ms in spent:
        if limit.interval == "DAY":
            continue
        name = "weight" if limit.kind == "REQUEST_WEIGHT" else "orders"
        policies.append(f'"{name}";q={limit.limit};w={limit.window_ms // 1000}')
        states.append(f'"{name}";r={max(limit.limit - used, 0)};t={-(-resets_ms // 1000)}')
    if not policies:
        return []
    return [(b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(states).encode())]


def _described(limit: Limit) -> dict[str, Any]:
    return {
        "rateLimitType": limit.kind,
        "interval": limit.interval,
        "intervalNum": limit.number,
        "limit": limit.limit,
    }


def _too_much_weight(spent: Spent) -> Refusal:
    return _refusal(
        -1003,
        f"Too much request weight used; current limit is {spent.limit.limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        spent,
    )


def _too_many_orders(*spent: Spent) -> Refusal:
    """The last of what was spent is what was too much."""
    limit = spent[-1].limit
    text = f"Too many new orders; current limit is {limit.limit} orders per {limit.number} {limit.interval}."
    return _refusal(-1015, text, *spent)


def _refusal(code: int, text: str, *spent: Spent, status: int = 429) -> Refusal:
    seconds = max(-(-spent[-1].resets_ms // 1000), 1)
    refusal = Refusal(code, text, status, headers={"Retry-After": str(seconds)})
    refusal.spent = spent
    return refusal
