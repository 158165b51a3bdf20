"""uvicorn's WebSocket protocol, with its transport within reach of the stream role.

The transport is what lets one encoded frame go to every socket without a queue per client, and what tells how far a
client lags. Wiring names ``StreamProtocol`` as uvicorn's ``ws`` class.
"""

import logging
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from outcry.roles.stream.link import TRANSPORT

LINGER_SECONDS: Final = 2.0  # for the client to read why it was closed

# uvicorn logs every socket's address, and an address may hold a listen key.
_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)


class StreamProtocol(WebSocketsSansIOProtocol):
    """As uvicorn's, and closes after a malformed frame only when the client had time to read the close frame."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][TRANSPORT] = self.transport

    def data_received(self, data: bytes) -> None:
        if self.close_sent and self.conn.parser_exc is not None:
            return  # what follows a malformed frame has no meaning
        super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Sends the close frame and keeps reading: closing on unread bytes would reset the connection instead."""
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
