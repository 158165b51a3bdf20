"""Rows of the ledger as SQL columns, and JSON texts of rows as rows."""

from typing import Any, TypeVar

import msgspec

from outcry.rows import (
    AmendmentRow,
    CandleRow,
    IntakeRow,
    ListRow,
    OrderRow,
    PartitionRow,
    PreventedRow,
    SymbolRow,
    TradeRow,
)

ORDER = OrderRow._fields
TRADE = TradeRow._fields
CANDLE = CandleRow._fields
LIST = ListRow._fields
PREVENTED = PreventedRow._fields
AMENDMENT = AmendmentRow._fields
PARTITION = PartitionRow._fields
SYMBOL = SymbolRow._fields
INTAKE = IntakeRow._fields
# JSON has no bytes: blobs travel as hexadecimal text.
INTAKE_TEXT = tuple("hex(body) AS body" if name == "body" else name for name in INTAKE)

T = TypeVar("T")

read_orders = msgspec.json.Decoder(list[OrderRow]).decode
read_trades = msgspec.json.Decoder(list[TradeRow]).decode
read_candles = msgspec.json.Decoder(list[CandleRow]).decode
read_lists = msgspec.json.Decoder(list[ListRow]).decode
read_prevented = msgspec.json.Decoder(list[PreventedRow]).decode
read_amendments = msgspec.json.Decoder(list[AmendmentRow]).decode
read_ids = msgspec.json.Decoder(list[int]).decode
_read_rows = msgspec.json.Decoder(list[list[Any]]).decode

BODY = INTAKE.index("body")


def read_intake(text: str) -> list[IntakeRow]:
    return [IntakeRow._make([*row[:BODY], bytes.fromhex(row[BODY]), *row[BODY + 1 :]]) for row in _read_rows(text)]
