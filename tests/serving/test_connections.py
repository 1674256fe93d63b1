"""The real server over sockets that say nothing, too little, or more than one thing."""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from werk.serving.prediction_log import read_log

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets the limits of another process")

BODY = b'{"instances": [[0.1, 3, "UA"]]}'
HEAD = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t0ken\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    errors: Path

    def connected(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def said(self, sent: bytes) -> bytes:
        """Everything until the server closes; `TimeoutError` when it does not."""
        with self.connected() as caller:
            caller.sendall(sent)
            return to_the_end(caller)

    def alive(self) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as caller:
            caller.request("GET", "/healthz")
            return caller.getresponse().status


def status(caller: socket.socket) -> int:
    """Of one whole answer, read to its end."""
    with http.client.HTTPResponse(caller) as reply:
        reply.begin()
        reply.read()
        return reply.status


def to_the_end(caller: socket.socket) -> bytes:
    return b"".join(iter(lambda: caller.recv(65536), b""))


@contextmanager
def serving(directory: Path, *more: str, files: int = 1024) -> Iterator[Server]:
    errors = directory / "errors.txt"
    command = [
        "sh",
        "-c",
        f'ulimit -Sn {files} && exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "werk.serving.server",
        str(directory),
        *more,
    ]
    with errors.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as process:
        try:
            assert process.stdout is not None
            port = urlsplit(process.stdout.readline().strip()).port
            assert port, errors.read_text()
            yield Server(process.pid, port, errors)
        finally:
            process.kill()


def test_callers_that_say_nothing_keep_nobody_out(deployed: Path) -> None:
    """More of them than the process may open files: a new caller is answered, and so is one whose request is under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with serving(deployed) as server, ExitStack() as held:
            busy = held.enter_context(server.connected())
            busy.sendall(WHOLE[:-5])
            for _ in range(1100):
                held.enter_context(server.connected()).sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            assert [server.alive() for _ in range(20)] == [200] * 20
            busy.sendall(WHOLE[-5:])
            assert status(busy) == 200
            assert len(os.listdir(f"/proc/{server.pid}/fd")) < 900
            assert server.errors.stat().st_size < 10_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tight_file_limit_holds_fewer(deployed: Path) -> None:
    with serving(deployed, files=128) as server, ExitStack() as held:
        for _ in range(300):
            held.enter_context(server.connected())
        assert [server.alive() for _ in range(5)] == [200] * 5
        assert server.errors.read_text() == ""


def test_who_waited_longest_makes_room_and_is_told(deployed: Path) -> None:
    with serving(deployed, "--connections", "2") as server, server.connected() as first, server.connected() as second:
        first.sendall(b"GET /healthz HTTP/1.1\r\n")
        time.sleep(0.2)
        assert server.alive() == 200
        assert to_the_end(first).startswith(b"HTTP/1.1 503 ")
        second.sendall(WHOLE)
        assert status(second) == 200


def test_where_all_are_being_answered_a_new_caller_is_told_to_come_again(deployed: Path) -> None:
    with serving(deployed, "--connections", "1") as server, server.connected() as busy:
        busy.sendall(WHOLE[:-1])
        time.sleep(0.2)
        with server.connected() as new:
            assert to_the_end(new).startswith(b"HTTP/1.1 503 ")
        busy.sendall(WHOLE[-1:])
        assert status(busy) == 200


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET", HEAD, HEAD + b"Content-Length: 10\r\n\r\n{", CHUNKED, CHUNKED + b"f" * 17 + b"\r\n", CHUNKED + b"5\r\n{"],
    ids=["nothing", "a word", "half a head", "half a body", "no chunk", "17 f's", "half a chunk"],
)
def test_what_is_never_sent_whole_is_ended_with_a_word(deployed: Path, begun: bytes) -> None:
    with serving(deployed, "--head-seconds", "1", "--request-seconds", "1") as server:
        words = server.said(begun)
    assert words.startswith(b"HTTP/1.1 408 ")
    assert list(read_log(deployed / "predictions")) == []


def test_a_byte_now_and_then_does_not_keep_a_request_alive(deployed: Path) -> None:
    for begun, options in ((b"", ("--head-seconds", "1")), (HEAD + b"Content-Length: 999\r\n\r\n", ("--request-seconds", "1"))):
        with serving(deployed, *options) as server, server.connected() as caller:
            caller.sendall(begun)
            began = time.monotonic()
            with pytest.raises(OSError):
                while time.monotonic() - began < 15:
                    caller.sendall(b"G")
                    time.sleep(0.1)


def test_a_caller_that_takes_no_answer_is_cut_off(deployed: Path) -> None:
    """Asks more and more on one connection and never reads: the answers would wait for it forever."""
    with serving(deployed, "--request-seconds", "1", "--head-seconds", "1") as server, server.connected(timeout=1) as caller:
        rest, began = b"", time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 30:
                rest = rest or b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t0ken\r\n\r\n" * 100
                with suppress(TimeoutError):
                    rest = rest[caller.send(rest) :]
        assert server.alive() == 200


def test_slow_callers_within_the_time_are_answered_and_connections_stay(deployed: Path) -> None:
    with serving(deployed, "--head-seconds", "5", "--request-seconds", "10") as server, server.connected() as caller:
        for _ in range(4):  # more time in all than a head may take
            for part in (WHOLE[:30], WHOLE[30 : len(HEAD) + 5], WHOLE[len(HEAD) + 5 : -3], WHOLE[-3:]):
                caller.sendall(part)
                time.sleep(0.35)
            assert status(caller) == 200
        for _ in range(30):
            caller.sendall(WHOLE)
            assert status(caller) == 200
            time.sleep(0.1)
    assert len(list(read_log(deployed / "predictions"))) == 34


def test_a_length_said_in_two_ways_is_refused_and_the_connection_closed(deployed: Path) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for sent in (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % len(hidden) + hidden,
    ):
        with serving(deployed) as server:
            words = server.said(sent)
        assert words.startswith(b"HTTP/1.1 400 ")
        assert words.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in words.lower()
    assert list(read_log(deployed / "predictions")) == []


def test_a_chunked_body_alone_is_read(deployed: Path) -> None:
    with serving(deployed) as server, server.connected() as caller:
        caller.sendall(CHUNKED + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n")
        assert status(caller) == 200


def test_a_full_disk_leaves_no_files_and_loses_no_answer(deployed: Path) -> None:
    log = deployed / "predictions"
    with serving(deployed) as server, closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as caller:
        assert [_asked(caller) for _ in range(3)] == [200] * 3
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, hard))
        before = sorted(log.iterdir())
        assert [_asked(caller) for _ in range(50)] == [503] * 50
        assert sorted(log.iterdir()) == before
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert [_asked(caller) for _ in range(3)] == [200] * 3
    assert sorted(log.iterdir()) == before
    assert len({json.dumps(line) for line in read_log(log)}) == 6


def _asked(caller: http.client.HTTPConnection) -> int:
    caller.request("POST", "/invocations", BODY, {"Authorization": "Bearer t0ken", "Content-Type": "application/json"})
    reply = caller.getresponse()
    reply.read()
    return reply.status
