"""Who may hold a connection open, and how long: a caller that sends nothing keeps nobody else out."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from werk.serving.asgi import Limits

if sys.platform != "win32":
    import resource

_END = b"connection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _END
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n" + _END


class Door(ServerState):
    """All open connections; where there is no room, whoever has gone longest without a request under way makes it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self._most = min(limits.connections, files_allowed() * 3 // 4)
        self._open: dict[Connection, None] = {}

    @property
    def backlog(self) -> int:
        """How many are accepted at once, before the first of them could be sent away: a file each."""
        return max(1, min(128, files_allowed() // 32))

    def enter(self, connection: Connection) -> None:
        """As the newest; one that comes again has just been answered."""
        self._open.pop(connection, None)
        self._open[connection] = None
        if len(self._open) > self._most:
            self._send_away(next(one for one in self._open if one.idle))  # at least the new one is

    def leave(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def sweep(self, now: float) -> None:
        for late in [one for one in self._open if one.is_late(now)]:
            late.end(_TOO_SLOW)

    def _send_away(self, connection: Connection) -> None:
        self.leave(connection)
        connection.end(_TOO_MANY)


class Connection(H11Protocol):
    """uvicorn's, with a clock: it starts with the connection, with a request's first byte and with an answer's last one.

    Always the one on h11, whatever is installed: with httptools requests that nobody takes the answers of pile up without end.
    """

    def __init__(
        self, config: Config, server_state: Door, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = server_state
        self._since = self.loop.time()
        self._begun = False

    @property
    def idle(self) -> bool:
        """No request's head is whole that is not answered yet."""
        return self.cycle is None or self.cycle.response_complete

    def is_late(self, now: float) -> bool:
        return now - self._since > self._allowed()

    def end(self, words: bytes) -> None:
        """With these words, where no answer has begun; at once, where the caller takes none."""
        if not self.transport.is_closing():
            if self.idle or not self.cycle.response_started:
                self.transport.write(words)
            self.transport.close()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun, self._since = True, self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._begun, self._since = False, self.loop.time()
        self._door.enter(self)
        super().on_response_complete()

    def _allowed(self) -> float:
        limits = self._door.limits
        if self.transport.get_write_buffer_size():
            return limits.request_s
        if self.idle:
            return limits.head_s
        return limits.request_s if self.cycle.more_body else math.inf


def files_allowed() -> int:
    """How many files and sockets this process may hold open."""
    if sys.platform == "win32":
        return 8192  # sockets are handles there, and of those there are enough
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
