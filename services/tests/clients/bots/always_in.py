"""A freqtrade strategy for the tests: enters at once, puts a stop on the exchange, leaves after seconds."""

from datetime import datetime, timedelta

from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class AlwaysIn(IStrategy):
    """Buys whenever it is out of the market."""

    timeframe = "1m"
    minimal_roi = {"0": 10}  # noqa: RUF012 - freqtrade's own form of a setting
    stoploss = -0.10
    startup_candle_count = 30
    order_types = {  # noqa: RUF012
        "entry": "market",
        "exit": "market",
        "stoploss": "limit",
        "stoploss_on_exchange": True,
        "stoploss_on_exchange_interval": 5,
    }

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["exit_long"] = 0
        return dataframe

    def custom_exit(self, pair: str, trade: Trade, current_time: datetime, *_: float, **__: object) -> str | None:
        return "held long enough" if current_time - trade.open_date_utc > timedelta(seconds=8) else None
