"""Writes a golden log: run it once per release that adds a kind of command, and never over an old file.

PYTHONPATH=services python -m tests.golden.write log-2 4711 3000
"""

import json
import sys
from hashlib import blake2b
from pathlib import Path

from outcry.roles.engine.session import Session, genesis
from outcry.rows import PartBatch, Record
from tests.support.logs import random_log

HERE = Path(__file__).parent
CHUNK = 50  # records per batch


def read_log(path: Path) -> list[Record]:
    """One record a line: its time in milliseconds and its bytes in hexadecimal."""
    records = []
    for offset, line in enumerate(path.read_text().splitlines()):
        timestamp, frame = line.split()
        records.append(Record(0, offset, int(timestamp), bytes.fromhex(frame)))
    return records


def result_of(records: list[Record]) -> dict[str, object]:
    """What every later release must make of the records."""
    session = Session(genesis(0))
    trades = postings = 0
    rows, amendments = blake2b(digest_size=32), blake2b(digest_size=32)
    for record in records:
        session.apply(record)
        if record.offset % CHUNK == CHUNK - 1 or record is records[-1]:
            batch, _ = session.take()
            trades += len(batch.trades)
            postings += len(batch.postings)
            rows.update(first_rows(batch).encode())
            amendments.update(repr(batch.amendments).encode())
    advance = batch.advance
    return {
        "next_offset": advance.to_offset, "event_seq": advance.event_seq, "log_time": advance.log_time,
        "state_hash": advance.state_hash, "log_hash": advance.log_hash.hex(), "trades": trades, "postings": postings,
        "rows_hash": rows.hexdigest(), "amendments_hash": amendments.hexdigest(),
        "late": session.late, "repeated": session.repeated,
    }  # fmt: skip


def first_rows(batch: PartBatch) -> str:
    """The rows that a batch has had since the first golden log was written, in words."""
    known = batch._asdict()
    del known["amendments"], known["told"]
    return f"PartBatch({', '.join(f'{name}={rows!r}' for name, rows in known.items())})"


def write(name: str, seed: int, commands: int) -> None:
    """Makes ``name``.log and ``name``.json."""
    log = HERE / f"{name}.log"
    if log.exists():
        raise SystemExit(f"{log} exists; a golden log is never changed")
    lines = [f"{record.timestamp_ms} {record.frame.hex()}" for record in random_log(seed, commands)]
    log.write_text("\n".join(lines) + "\n")
    (HERE / f"{name}.json").write_text(json.dumps(result_of(read_log(log)), indent=1) + "\n")


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
