"""Serve a directory of deployed models until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from werk.core.errors import InputError, WerkError
from werk.serving.asgi import LOCAL_HOSTS, App, Limits
from werk.serving.connections import Connection, Door

_QUEUE = 2048  # connections that the system holds until they are accepted
_TICKS = 10  # of uvicorn's, a second
# LightGBM imports these at load time only for its estimator classes: a server of boosters saves half its memory without.
_UNUSED = ("sklearn", "pandas", "matplotlib", "graphviz", "pyarrow", "dask")


def serve(
    directory: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
    *,
    hosts: Sequence[str] = (),
    require_token: bool = True,
    limits: Limits | None = None,
) -> None:
    """Block until SIGTERM or Ctrl-C, then finish the requests under way. Port 0 takes a free one.

    `on_ready` gets the URL once every deployed model is loaded and warm. `hosts` are further host names callers may use.
    """
    held = limits or Limits()
    door = Door(held)
    with contextlib.closing(_bound(host, port)) as listener:
        app = App(Path(directory), hosts=[*LOCAL_HOSTS, host, *hosts], require_token=require_token, limits=held)
        config = uvicorn.Config(
            app,
            http=Connection,
            backlog=door.backlog,
            access_log=False,
            log_level="warning",
            lifespan="on",
            server_header=False,
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
        shown = f"[{host}]" if ":" in host else host
        server = _Server(config, door, lambda: on_ready and on_ready(f"http://{shown}:{listener.getsockname()[1]}"))
        with _quiet_signals(server):
            server.run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, door: Door, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self.server_state = self._door = door
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUE)  # asyncio set it to what it accepts at once, which is fewer
        gc.collect()
        gc.freeze()  # the loaded models never become garbage: full collections need not walk them
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            self._door.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


@contextlib.contextmanager
def _quiet_signals(server: uvicorn.Server) -> Iterator[None]:
    """uvicorn raises the signal again once it has stopped; a graceful end is no failure. One that comes before uvicorn
    listens to it counts, too."""

    def stop(*_: object) -> None:
        server.should_exit = True

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: uvicorn leaves signals alone there, too
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP; with it every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_QUEUE)  # taken now, so that a second server is refused here and not after loading its models
    except OSError as refused:
        listener.close()
        raise _unusable(host, port, refused) from refused
    return listener


def _unusable(host: str, port: int, refused: OSError) -> InputError:
    if refused.errno == errno.EADDRINUSE:
        return InputError(
            f"Port {port} of {host} is in use.",
            code="port-in-use",
            hint=f"Stop what listens there, or choose another: --port {port + 1}.",
        )
    return InputError(
        f"{host}:{port} cannot be listened on: {refused.strerror}.",
        code="address-unusable",
        hint="Use 127.0.0.1 and a port above 1023.",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    limits = Limits(connections=given.connections, head_s=given.head_seconds, request_s=given.request_seconds)
    told = {"hosts": given.allow_host, "require_token": not given.no_token, "limits": limits}
    try:
        with _lighter():
            serve(given.directory, given.host, given.port, _announce, **told)
    except WerkError as wrong:
        print(f"{wrong.message} {wrong.hint}".strip(), file=sys.stderr)
        return wrong.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m werk.serving.server", description="Serve a directory of deployed models.")
    usual = Limits()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--allow-host", action="append", default=[], help="a further host name callers may use")
    parser.add_argument("--no-token", action="store_true", help="answer anybody who reaches the port")
    parser.add_argument("--connections", type=_some, default=usual.connections, help="how many may be open at once")
    parser.add_argument("--head-seconds", type=_some, default=usual.head_s, help="for a request's head")
    parser.add_argument("--request-seconds", type=_some, default=usual.request_s, help="for a whole request or taking its answer")
    return parser


def _some(text: str) -> int:
    """With less than one nobody could be answered."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


@contextlib.contextmanager
def _lighter() -> Iterator[None]:
    """Load LightGBM without what it only optionally imports; afterwards everything can be imported again."""
    blocked = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]  # None is Python's own mark for "do not import"
    try:
        with contextlib.suppress(ImportError):
            import lightgbm  # noqa: F401
    finally:
        for name in blocked:
            del sys.modules[name]
    yield


def _announce(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
