"""Founds the demo venue on an empty ledger; on a founded one every step finds its work done."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import msgspec

from outcry.agents.history import Past
from outcry.codec import encode_frame
from outcry.market.candles import DAY, MINUTE
from outcry.market.commands import SetInstrument
from outcry.market.instrument import Instrument
from outcry.ports import Clock, Journal, Ledger, ReferenceTaken
from outcry.roles.admin import demo
from outcry.rows import KeyRow, SymbolRow
from outcry.settings import Settings

ACTOR: Final = "founding"
HMAC: Final = "HMAC"
Progress = Callable[[str], None]
Seal = Callable[[bytes, str], bytes]  # (secret, API key) -> what may be stored


@dataclass
class IssuedKey:
    """An API key with its secret, which is told once and kept only sealed."""

    api_key: str
    secret: str
    account_id: int


@dataclass
class Founding:
    """What founding needs; ``issued`` are the keys to tell somebody: the documented live ones, or new random ones."""

    ledger: Ledger
    journal: Journal
    clock: Clock
    seal: Seal
    settings: Settings
    progress: Progress
    given: Mapping[int, tuple[str, str]] = field(default_factory=dict)  # account -> API key and secret to issue
    issued: list[IssuedKey] = field(default_factory=list)
    _told: bool = False

    async def run(self) -> None:
        """Assets, accounts, money, keys, symbols, history: in this order, each only where it is missing.

        The engine must not run yet: it reads the newest candles when it loads.
        """
        assets = {name: (await self.ledger.add_asset(name, ACTOR)).asset_id for name in _asset_names()}
        await self._open_accounts()
        for account_id, asset, amount in demo.deposits(crowd=self.settings.simulation_enabled):
            reference = f"founding:{account_id}:{asset}"
            with contextlib.suppress(ReferenceTaken):  # founded by another version, with another amount
                await self.ledger.transfer(account_id, assets[asset], amount, reference, actor=ACTOR)
        await self._issue_keys()
        await self._list_symbols(assets)

    async def _open_accounts(self) -> None:
        known = {row.account_id for row in await self.ledger.accounts()}
        for row in demo.accounts(self.clock.now_ms(), crowd=self.settings.simulation_enabled):
            if row.account_id not in known:
                await self.ledger.create_account(row, ACTOR)

    async def _issue_keys(self) -> None:
        """Those that are given; else documented ones where only this machine can use them, random ones elsewhere."""
        stored = await self.ledger.keys()
        for account_id, (api_key, secret) in self.given.items():
            if all(key.api_key != api_key for key in stored):
                await self._issue(IssuedKey(api_key, secret, account_id))
        documented = {api_key for api_key, _, _ in demo.DEMO_KEYS}
        for api_key, secret, account_id in demo.DEMO_KEYS:
            own = {key.api_key: key for key in stored if key.account_id == account_id}
            if self.settings.loopback:
                issued = IssuedKey(api_key, secret, account_id)
                if api_key not in own:
                    await self._issue(issued)
                elif not own[api_key].revoked_ms:
                    self.issued.append(issued)
            elif account_id not in self.given and not own.keys() - documented:
                await self._issue(IssuedKey(secrets.token_hex(32), secrets.token_hex(32), account_id))

    async def _issue(self, key: IssuedKey) -> None:
        sealed = self.seal(key.secret.encode(), key.api_key)
        now_ms = self.clock.now_ms()
        row = KeyRow(key.api_key, key.account_id, HMAC, sealed, demo.DEMO_SCOPES, "", now_ms, 0, 0)
        await self.ledger.create_key(row, ACTOR)
        self.issued.append(key)

    async def _list_symbols(self, assets: dict[str, int]) -> None:
        listed = {row.symbol_id: row for row in await self.ledger.symbols()}
        frames = []
        for pair in demo.PAIRS:
            if pair.symbol_id in listed:
                instrument = terms_of(listed[pair.symbol_id])
            else:
                instrument = demo.instrument_of(pair, assets, self.settings.partitions)
                command = SetInstrument(command_id=0, symbol_id=pair.symbol_id, instrument=instrument)
                frames.append((instrument.partition, encode_frame([command])))
            if self.settings.simulation_enabled:
                await self._back_fill(instrument, pair.reference)
        if frames:
            await self.journal.append(frames)

    async def _back_fill(self, instrument: Instrument, close: int) -> None:
        """A year of candles for a symbol that has none; they end before the current minute."""
        hours = self.settings.simulation_history_hours
        if not hours or await self.ledger.candles(instrument.symbol_id, DAY, limit=1):
            return
        if not self._told:
            self.progress("Back-filling a year of candles for every symbol")
            self._told = True
        rng = Random(self.settings.simulation_seed * 1_000 + instrument.symbol_id)
        await self.ledger.put_candles(Past(instrument, rng).candles(close, self.clock.now_ms(), hours))


async def start_price(ledger: Ledger, row: SymbolRow) -> int:
    """The price in ticks from which a crowd starts: the last trade, else the last candle, else the reference."""
    if row.last_price:
        return row.last_price
    newest = await ledger.candles(row.symbol_id, MINUTE, limit=1)
    if newest:
        return newest[-1].close
    references = {pair.symbol_id: pair.reference for pair in demo.PAIRS}
    return references[row.symbol_id]


def terms_of(row: SymbolRow) -> Instrument:
    """A listed symbol's instrument."""
    return msgspec.msgpack.decode(row.instrument, type=Instrument)


def _asset_names() -> list[str]:
    return [demo.QUOTE, *(pair.base for pair in demo.PAIRS)]
