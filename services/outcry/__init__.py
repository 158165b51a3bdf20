"""Outcry: a trading exchange that anyone can run, speaking the Binance Spot wire protocol."""

__version__ = "0.1.0"
