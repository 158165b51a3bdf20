"""One exchange per data directory: an exclusive lock that dies with its process."""

import fcntl
import os
from pathlib import Path

from outcry.ports import OutOfService


class InUse(OutOfService):
    """Another process runs the exchange in this data directory."""


class DirectoryLock:
    """Holds ``<file>.lock`` for as long as the exchange has the file open."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._descriptor = -1

    def take(self) -> None:
        """Raises InUse, naming the process that has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(
                f"The exchange in {self._path.parent} is already running as process {owner}. "
                "Stop it first, or choose another data directory."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
