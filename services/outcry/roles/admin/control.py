"""The running exchange's back door for its own operator: a Unix socket that only the same user can open."""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from outcry.ports import DiskFull, OutcomeUnknown, OutOfService
from outcry.roles.admin.rules import Refused
from outcry.roles.admin.verbs import Admin, Params, Result

MAX_LINE_BYTES: Final = 65_536
MAX_PATH: Final = 100  # a Unix socket's path may have about 104 bytes
ANSWER_SECONDS: Final = 15.0
WHERE: Final = "where"  # the verb that asks where the exchange listens


class NotRunning(Exception):
    """Nobody listens on the data directory's control socket."""


def socket_path(data_dir: Path) -> Path:
    """Where the exchange on ``data_dir`` listens; a long path gets a short name in the temporary directory."""
    path = data_dir.resolve() / "control.sock"
    if len(os.fsencode(path)) <= MAX_PATH:
        return path
    name = hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()
    return Path(tempfile.gettempdir()) / f"outcry-{name}.sock"


class Control:
    """Serves the operator's verbs: one JSON line ``[verb, params]`` in, one JSON line out.

    ``url`` is where a client on this machine reaches the exchange; "" where it serves nobody.
    """

    def __init__(self, admin: Admin, data_dir: Path, url: str = "") -> None:
        self._admin = admin
        self._url = url
        self._path = socket_path(data_dir)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens. The caller owns the data directory, so a socket that lies there is a dead one."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_LINE_BYTES)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stops listening and removes the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the caller hung up, or sent a line beyond the limit: nobody is left to tell
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Result:
        try:
            verb, params = msgspec.json.decode(line, type=tuple[str, dict[str, Any]])
            if verb == WHERE:
                return {"result": {"url": self._url}}
            return {"result": await self._admin.run(verb, params)}
        except msgspec.DecodeError as trouble:
            return {"error": f"The request is no verb with parameters: {trouble}."}
        except Refused as refused:
            return {"error": str(refused)}
        except DiskFull:
            return {"error": "The disk is full; nothing was changed. Free some space and try again."}
        except OutOfService as trouble:
            return {"error": f"The exchange cannot write right now ({trouble}); nothing was changed. Try again."}
        except OutcomeUnknown:
            return {"error": "The change may or may not have been written. List before you try again."}


async def ask_running(data_dir: Path, verb: str, params: Params) -> Result:
    """Has the running exchange carry out a verb. Raises NotRunning, Refused."""
    path = socket_path(data_dir)
    try:
        if path.stat().st_uid != os.getuid():
            raise Refused(f"{path} belongs to another user. Run this verb as the user who runs the exchange.")
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 26)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(str(data_dir)) from None
    try:
        writer.write(msgspec.json.encode([verb, dict(params)]) + b"\n")
        line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
    except TimeoutError:
        raise Refused(f"The exchange did not answer within {ANSWER_SECONDS:g} s. Is it still starting?") from None
    finally:
        writer.close()
    if not line:
        raise Refused("The exchange closed the connection without an answer; see its log.")
    answer = msgspec.json.decode(line, type=dict[str, Any])
    if "error" in answer:
        raise Refused(str(answer["error"]))
    return dict(answer["result"])
