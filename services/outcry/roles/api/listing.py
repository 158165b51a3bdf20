"""Keeps a venue's instruments, assets and last prices as the engine last committed them."""

import asyncio
import contextlib
import logging
from typing import Final

import msgspec

from outcry.market.instrument import Instrument
from outcry.ports import MarketUpdate, OutcomeUnknown, OutOfService
from outcry.roles.api.venue import Venue

MINUTE_MS: Final = 60_000
REFRESH_SECONDS: Final = 5.0  # between two looks where nothing was announced

log = logging.getLogger(__name__)


class Listing:
    """One per process. ``start`` before the engine starts, so that no change is missed."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Listens to committed updates."""
        self._venue.feed.on_update(self._note)

    async def refresh(self) -> None:
        """Reads the listed symbols. Raises OutOfService."""
        venue, rows = self._venue, await self._venue.ledger.symbols()
        venue.use([msgspec.msgpack.decode(row.instrument, type=Instrument) for row in rows])
        for row in rows:
            if not venue.last_prices.get(row.symbol_id):
                venue.last_prices[row.symbol_id] = row.last_price or await self._reference_price(row.symbol_id)
        venue.assets = {asset.asset_id: asset.asset for asset in await venue.ledger.assets()}

    async def run(self) -> None:
        """Refreshes when an instrument changed, and now and then besides; until canceled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), REFRESH_SECONDS)
            self._changed.clear()
            try:
                await self.refresh()
            except (OutOfService, OutcomeUnknown) as trouble:
                log.warning("The symbols could not be read: %s", trouble)

    async def _reference_price(self, symbol_id: int) -> int:
        """Before the first trade: where the back-filled history ends, ticks; 0 without a history."""
        candles = await self._venue.ledger.candles(symbol_id, MINUTE_MS, limit=1)
        return candles[-1].close if candles else 0

    def _note(self, update: MarketUpdate) -> None:
        venue = self._venue
        if update.status:
            self._changed.set()
        if not update.trades:
            return
        venue.last_prices[update.symbol_id] = update.trades[-1].price
        instrument = venue.instruments_by_id.get(update.symbol_id)
        if instrument is not None:
            amount = sum(trade.amount for trade in update.trades)
            venue.telemetry.note_trades(instrument.symbol, len(update.trades), amount)
