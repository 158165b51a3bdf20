"""Resident memory of a running exchange over many batched orders: memory.py URL PID ORDERS."""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from end_to_end import BATCH, KEYS, Trader
from wire import Connection, Signer

CONNECTIONS = 6
SAMPLES = 20
MAX_ORDERS = 5_000_000


def resident_mib(pid: int) -> int:
    """VmRSS of a process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise LookupError(f"process {pid} shows no resident memory")


async def send(port: int, number: int, batches: int) -> None:
    """Sends ``batches`` batches over one connection."""
    signer, trader = Signer(*KEYS[number % 2], port), Trader(number)
    connection = await Connection.open("127.0.0.1", port)
    for _ in range(batches):
        body = json.dumps({"orders": [trader.order() for _ in range(BATCH)]}).encode()
        await connection.ask(signer.batch(body))
    connection.close()


async def main() -> None:
    port, pid, orders = urlsplit(sys.argv[1]).port, int(sys.argv[2]), min(int(sys.argv[3]), MAX_ORDERS)
    assert port is not None
    batches = orders // BATCH // CONNECTIONS // SAMPLES
    samples = [{"orders": 0, "resident_mib": resident_mib(pid)}]
    for sample in range(1, SAMPLES + 1):
        await asyncio.gather(*(send(port, number, batches) for number in range(CONNECTIONS)))
        samples.append({"orders": sample * batches * CONNECTIONS * BATCH, "resident_mib": resident_mib(pid)})
        print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
    print(json.dumps(samples))


if __name__ == "__main__":
    asyncio.run(main())
