"""The real server over a socket: switching, stopping, and a port that is taken."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from werk.core.errors import InputError
from werk.models.compiled import Model
from werk.serving.server import serve

BODY = b'{"instances": [[0.1, 3, "UA"]]}'
HEADERS = {"Authorization": "Bearer t0ken", "Content-Type": "application/json"}


@contextmanager
def running(directory: Path) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    command = [sys.executable, "-m", "werk.serving.server", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        where = urlsplit(process.stdout.readline().strip())
        assert where.hostname
        yield process, http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(connection: http.client.HTTPConnection) -> tuple[int, str]:
    connection.request("POST", "/invocations", BODY, HEADERS)
    reply = connection.getresponse()
    reply.read()
    return reply.status, reply.headers.get("x-werk-model-version", "")


def test_twenty_switches_under_load_fail_no_request(
    deployed: Path, models: list[Model], deploy_version: Callable[..., object]
) -> None:
    with running(deployed) as (_, first):
        answers: list[tuple[int, str]] = []
        stop = threading.Event()

        def load() -> None:
            connection = http.client.HTTPConnection(first.host, first.port, timeout=20)
            while not stop.is_set():
                answers.append(ask(connection))
            connection.close()

        callers = [threading.Thread(target=load) for _ in range(3)]
        for caller in callers:
            caller.start()
        for version in range(2, 22):
            deploy_version(deployed, models[version % 2], version)
            time.sleep(0.12)
        _wait_for(first, "delay:21")
        stop.set()
        for caller in callers:
            caller.join()
        first.close()
    assert {status for status, _ in answers} == {200}
    assert len({version for _, version in answers}) > 10


def _wait_for(connection: http.client.HTTPConnection, version: str) -> None:
    until = time.monotonic() + 10
    while ask(connection)[1] != version:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_broken_new_version_leaves_the_old_one_answering(
    deployed: Path, models: list[Model], deploy_version: Callable[..., object], call: Callable[..., object]
) -> None:
    app = call.app  # type: ignore[attr-defined]
    deploy_version(deployed, models[1], 2)
    (deployed / "packages/delay-2/model.bin").unlink()
    app.endpoints.refresh()
    assert app.endpoints.live["delay"].manifest.version == 1
    assert "model.bin" in app.endpoints.broken["delay"]
    assert not app.ready
    deploy_version(deployed, models[1], 3)
    app.endpoints.refresh()
    assert (app.endpoints.live["delay"].manifest.version, app.ready) == (3, True)


def test_an_answer_does_not_wait_for_the_callers_acknowledgement(deployed: Path) -> None:
    """With Nagle's algorithm on, a keep-alive request takes the 40 ms of a delayed acknowledgement."""
    with running(deployed) as (_, connection):
        took = []
        for _ in range(30):
            began = time.perf_counter()
            assert ask(connection)[0] == 200
            took.append(time.perf_counter() - began)
        connection.close()
    assert min(took[5:]) < 0.03


def test_sigterm_ends_in_peace(deployed: Path) -> None:
    with running(deployed) as (process, connection):
        assert ask(connection)[0] == 200
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0


def test_a_taken_port_is_named_with_the_next_step(deployed: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=str(port)) as refused:
            serve(deployed, port=port)
    assert (refused.value.code, "--port" in refused.value.hint) == ("port-in-use", True)
