"""Fan-out beside plain FastAPI and picows, in one table: fanout.py [CLIENTS,CLIENTS...] [SECONDS] [SERVER,SERVER...].

fanout.py slow [CLIENTS] [SECONDS] [ROUNDS] shows instead what 5 % slow clients do to the others, in turn with as many
quick ones.

A server and a crowd of clients, two processes on loopback; every client follows one of 8 symbols with 4 trades a
second, which begin when all clients are there.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ROOT / ".venv/bin/python"
PACKAGES = ROOT / ".venv-bench/bin/python"
PYTHONS = {"outcry": PRODUCT, "fastapi": PRODUCT, "picows": PACKAGES}
CROWDS = "500,2000,5000,10000"
SECONDS = "10"
WAIT_SECONDS = 240
COLUMNS = (
    "server", "clients", "deliveries_per_second", "deliveries_per_cpu_second", "server_cpu", "client_cpu",
    "kb_per_client", "p50_ms", "p99_ms", "gaps", "closed",
)  # fmt: skip


def run(server: str, crowd: str, seconds: str, *heavy: str) -> dict[str, Any]:
    """The figures of one server with one crowd, both new processes."""
    command = [str(PYTHONS[server]), "fanout_servers.py", server, crowd]
    folder = ROOT / "load-tests"
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            port = serving.stdout.readline().strip()
            clients = [str(PRODUCT), "fanout_clients.py", port, str(serving.pid), crowd, seconds, *heavy]
            done = subprocess.run(
                clients, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=WAIT_SECONDS
            )
            return {"server": server, **json.loads(done.stdout)}
        finally:
            serving.kill()


def compare_slow(crowd: str = "2000", seconds: str = "25", rounds: str = "3") -> None:
    """Prints the other clients' ages beside 5 % heavy clients that read, and beside 5 % that do not."""
    print("heavy clients | p50_ms | p99_ms | deliveries_per_second | gaps | closed | heavies_closed")
    for _ in range(int(rounds)):
        for heavy in ("quick", "slow"):
            seen = run("outcry", crowd, seconds, heavy)
            columns = ("p50_ms", "p99_ms", "deliveries_per_second", "gaps", "closed", "heavies_closed")
            print(heavy, *(seen[column] for column in columns), sep=" | ", flush=True)


def main() -> None:
    """Prints one line a server and crowd."""
    if sys.argv[1:2] == ["slow"]:
        compare_slow(*sys.argv[2:])
        return
    given = sys.argv[1:] + [CROWDS, SECONDS, ",".join(PYTHONS)][len(sys.argv) - 1 :]
    print(" | ".join(COLUMNS))
    for crowd in given[0].split(","):
        for server in given[2].split(","):
            try:
                figures = run(server, crowd, given[1])
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
                print(f"{server} | {crowd} | failed: {type(failure).__name__}", flush=True)
                continue
            print(" | ".join(str(figures[column]) for column in COLUMNS), flush=True)


main()
