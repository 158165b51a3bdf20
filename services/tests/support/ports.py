"""Ports of this machine for servers that tests start and start again.

They lie below those that the system gives to connections: a port that it gave out once may be another's by the time
the server takes it, or while the server is down. Clusters have a range of their own.
"""

import contextlib
import os
import secrets
import socket
from typing import Final

SINGLE: Final = range(10_000, 30_000)
CLUSTERS: Final = range(30_000, 32_700, 50)


def free_port() -> int:
    """A port that nobody uses."""
    while True:
        port = secrets.choice(SINGLE)
        if are_free(port):
            return port


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that nobody uses; the tests that run beside these look elsewhere."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        first = secrets.choice(CLUSTERS[worker % 2 :: 2])
        if are_free(*range(first, first + count)):
            return first


def are_free(*ports: int) -> bool:
    """Whether all of these can be taken."""
    with contextlib.ExitStack() as probes:
        try:
            for port in ports:
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
