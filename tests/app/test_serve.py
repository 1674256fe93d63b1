"""The prediction server as a process: it ends with whoever needs it, finishes what it has begun, and shares a project."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.core.canonical import sha256_hex
from werk.models.compiled import Model, canonical_hash, model_json
from werk.serving.manifest import Manifest, place, write_manifest
from werk.serving.prediction_log import find, read_log

TOKEN = "t0ken"
BODY = json.dumps({"instances": [[1.0]]}).encode()
# Says the server's process before it is ready and its address then; what else it has to do takes long.
PARENT = """
import subprocess, sys, time
from pathlib import Path
from werk.app.commands import realtime

class Told(subprocess.Popen):
    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        print(self.pid, flush=True)

subprocess.Popen = Told
with realtime.serving(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with something deployed, as the server needs it."""
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    model = Model(LinearToy(0.5, (2.0,)), "memory", ("x",), {}, "y", "regression", ("id",))
    files = {"model.bin": MemoryFormat().dump(model.estimator), "model.json": model_json(model)}
    folder = tmp_path / ".werk/serving"
    for name, data in files.items():
        place(folder / "packages/toy" / name, data)
    sums = {name: sha256_hex(data) for name, data in files.items()}
    told = ("toy", "dep_1", "toy", 1, canonical_hash(MemoryFormat(), model), "packages/toy", sums, (sha256_hex(TOKEN),))
    write_manifest(folder, Manifest(*told))
    (tmp_path / "werk.toml").write_text('[project]\nname = "toy"\nid = "prj_toy"\n')
    return tmp_path


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        for pipe in (started.stdout, started.stderr):
            assert pipe is not None
            pipe.close()


def line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("when_s", [0.1, 0.5, None], ids=str)
def test_a_server_for_a_while_goes_with_its_parent(root: Path, number: signal.Signals, when_s: float | None) -> None:
    """While it starts, and (None) once it answers."""
    with process("-c", PARENT, str(root)) as parent:
        server = int(line(parent))
        if when_s is None:
            url = line(parent)
            assert urllib.request.urlopen(f"{url}/healthz", timeout=10).status == 200
        else:
            time.sleep(when_s)
        parent.send_signal(number)
        parent.wait(30)
        until(lambda: not alive(server), "the server to end with its parent")


@contextmanager
def serving(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with process("-m", "werk.serving.server", str(root / ".werk/serving")) as server:
        url = line(server)
        assert url.startswith("http://"), url
        yield server, url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_finishes_what_it_has_begun(root: Path, number: signal.Signals) -> None:
    with serving(root) as (server, url):
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as caller:
            head = f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            caller.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:5])
            time.sleep(0.3)  # the server has read that much
            server.send_signal(number)
            time.sleep(0.5)
            assert server.poll() is None
            caller.sendall(BODY[5:])
            answer = caller.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 200"), answer
        assert server.wait(15) == 0
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()
    id = json.loads(answer.partition("\r\n\r\n")[2])["prediction_ids"][0]
    assert find(root / ".werk/serving/predictions", id)


def predicted(url: str) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/invocations", BODY, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        id: str = json.load(answer)["prediction_ids"][0]
    return id


def test_two_servers_of_one_project_keep_a_log_each(root: Path) -> None:
    with serving(root) as (_, one), serving(root) as (killed, other):
        ids = [predicted(url) for url in (one, other) * 10]
        killed.kill()
        killed.wait()
        ids.append(predicted(one))
    folder = root / ".werk/serving/predictions"
    assert len(list(folder.glob("*.jsonl"))) == 2
    assert all(find(folder, id) for id in ids)
    assert sorted(logged["id"] for logged in read_log(folder)) == sorted(ids)


def test_a_log_without_room_answers_nothing_and_goes_on_when_there_is(root: Path) -> None:
    """No file may grow: as on a full disk, and as no right can be taken from root."""
    limited = (
        "import resource, sys; from pathlib import Path; from werk.serving.server import serve\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "def room(*_): resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "signal.signal(signal.SIGUSR1, room)\n"
        "serve(Path(sys.argv[1]), on_ready=lambda url: sys.stdout.write(url + chr(10)) and sys.stdout.flush())\n"
    )
    with process("-c", limited, str(root / ".werk/serving")) as server:
        url = line(server)
        for _ in range(3):
            with pytest.raises(urllib.error.HTTPError) as refused:
                predicted(url)
            assert (refused.value.code, refused.value.headers["retry-after"]) == (503, "1")
            assert json.load(refused.value)["code"] == "log-unavailable"
        os.kill(server.pid, signal.SIGUSR1)
        time.sleep(0.2)
        id = predicted(url)
    assert [logged["id"] for logged in read_log(root / ".werk/serving/predictions")] == [id]
