"""The HTTP server: a socket that is bound before anything else is touched, and an end that is announced."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

import uvicorn

from outcry.ports import OutOfService
from outcry.roles.api.guard import GuardedHttp
from outcry.roles.api.wire import Asgi

BACKLOG: Final = 2048
MAX_MESSAGE_BYTES: Final = 65_536  # of a WebSocket client
PING_SECONDS: Final = 20.0
PONG_SECONDS: Final = 60.0
KEEP_ALIVE_SECONDS: Final = 75
CLOSE_SECONDS: Final = 5  # for open connections at the end
UNSENT_BYTES: Final = 1 << 16  # that the kernel keeps of one connection; beyond, this process sees who is slow


class Server(uvicorn.Server):
    """uvicorn, told to let the exchange part from its clients before the sockets close."""

    def __init__(self, config: uvicorn.Config, part: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._part = part
        self._loop = asyncio.get_running_loop()
        self._parting: asyncio.Future[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal parts gently, the second ends at once."""
        self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self._parting is not None:
            self.should_exit = self.force_exit = True
            return
        self._parting = asyncio.ensure_future(self._part())
        self._parting.add_done_callback(self._exit)

    def _exit(self, parting: "asyncio.Future[None]") -> None:
        self.should_exit = True


def config_of(app: Asgi, websockets: type[asyncio.Protocol]) -> uvicorn.Config:
    """How the app is served; ``websockets`` is the protocol class of upgraded connections."""
    return uvicorn.Config(
        app,
        http=GuardedHttp,
        ws=websockets,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # an address is what the socket says, not what a client writes
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket on the wanted address; port 0 is any free one. Raises OutOfService."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as trouble:
        listener.close()
        raise OutOfService(_no_socket(host, port, trouble)) from None
    return listener


def _no_socket(host: str, port: int, trouble: OSError | UnicodeError) -> str:
    """Why an address cannot be listened on, and the remedy."""
    cause = trouble.errno if isinstance(trouble, OSError) else None
    if cause == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken. Choose another with --port or OUTCRY_PORT, or stop who has it."
    if cause == errno.EACCES:
        return f"Port {port} on {host} is not for this user. Choose one above 1023 with --port or OUTCRY_PORT."
    why = trouble.strerror if isinstance(trouble, OSError) else "it is no name of a host"
    return f"{host} cannot be listened on: {why}. Name an address of this machine with --host or OUTCRY_HOST."


def local_url(host: str, port: int) -> str:
    """Where a client on this machine reaches a socket that is bound to ``host``."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"
