"""How much CPU a PostgreSQL server on this machine has used."""

import os
from pathlib import Path

import psycopg

TICK = os.sysconf("SC_CLK_TCK")


def server_cpu(url: str) -> float:
    """Seconds of all its processes, the dead included; 0 where it runs elsewhere."""
    with psycopg.connect(url, autocommit=True) as connection:
        backend = connection.info.backend_pid
    postmaster = _parent(backend)
    if postmaster is None:
        return 0.0
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _fields(entry)
        if fields and (int(entry.name) == postmaster or int(fields[1]) == postmaster):
            total += int(fields[11]) + int(fields[12])
            if int(entry.name) == postmaster:
                total += int(fields[13]) + int(fields[14])
    return total / TICK


def _parent(pid: int) -> int | None:
    fields = _fields(Path(f"/proc/{pid}"))
    return int(fields[1]) if fields else None


def _fields(entry: Path) -> list[str]:
    """The fields of /proc/PID/stat after the command's name."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
