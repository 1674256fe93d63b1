"""One row at a time from LightGBM with everything on, beside a raw ASGI no-op."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import WORKERS, Line, NotMeasured, Trial, child, compared, in_turn, median, spread

_ROW = json.dumps({"instances": [[0.1 * at for at in range(30)]]}).encode()
_HEADERS = ("Host: localhost", "Authorization: Bearer bench", "Content-Type: application/json", f"Content-Length: {len(_ROW)}")
_REQUEST = "\r\n".join(("POST /invocations HTTP/1.1", *_HEADERS, "", "")).encode() + _ROW
_INSIDE = (
    "keep-alive clients on the same machine, one row of 30 features, 100 trees; werk with token, schema check, prediction "
    "log and metrics on; both under uvicorn with what is installed; starting is not inside. "
)


def run(quick: bool) -> list[Line]:
    seconds = 1.0 if quick else 5.0
    with tempfile.TemporaryDirectory() as folder:
        child([sys.executable, WORKERS / "deploy_booster.py", folder])
        werk = [sys.executable, "-m", "werk.serving.server", folder]
        noop = [sys.executable, str(WORKERS / "noop_asgi.py")]
        ours, bare = in_turn(3, lambda: _served(werk, seconds), lambda: _served(noop, seconds))
    compare = [
        ("requests/s, 1 client", "rps_1", "wall time"),
        ("requests/s, 16 clients", "rps_16", "wall time"),
        ("requests per CPU-second", "per_cpu_s", "CPU time of the server process, 16 clients"),
    ]
    lines = [
        compared(
            "realtime",
            metric,
            ours,
            bare,
            against="limit",
            unit="1/s",
            target=">= 0.35 of a raw ASGI no-op",
            met=lambda werk, limit: werk >= 0.35 * limit,
            inside=_INSIDE + what,
            name=name,
        )
        for metric, name, what in compare
    ]
    return [*lines, _alone(ours, "ready_s", "s", 1.0), _alone(ours, "peak_mb", "MB", 100.0)]


def _alone(trials: Sequence[Trial], name: str, unit: str, most: float) -> Line:
    value = median(trials, name)
    inside = {"ready_s": "from starting the process to its URL: loaded, verified and warm", "peak_mb": "VmHWM after the load"}[
        name
    ]
    return Line(
        "realtime", name, value, None, None, unit, None, f"<= {most:g} {unit}", value <= most, inside, spread(trials, name)
    )


def _served(command: Sequence[str], seconds: float) -> Trial:
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        where = urlsplit(server.stdout.readline().strip())
        ready = time.perf_counter() - began
        if not where.port:
            raise NotMeasured(f"{command[-1]} did not start")
        _load(where.port, 1, 0.3)
        one = _load(where.port, 1, seconds) / seconds
        cpu = _cpu_s(server.pid)
        answered = _load(where.port, 16, seconds)
        spent = _cpu_s(server.pid) - cpu
        peak_mb = _peak_mb(server.pid)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    values = {"rps_1": one, "rps_16": answered / seconds, "per_cpu_s": answered / spent, "ready_s": ready, "peak_mb": peak_mb}
    return Trial(values, time.perf_counter() - began, peak_mb)


def _load(port: int, clients: int, seconds: float) -> int:
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(lambda _: _client(port, until), range(clients)))


def _client(port: int, until: float) -> int:
    """Answers counted on one connection; anything but 200 is no measurement."""
    answered = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < until:
            connection.sendall(_REQUEST)
            _one_answer(connection)
            answered += 1
    return answered


def _one_answer(connection: socket.socket) -> None:
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise NotMeasured(f"the server answered {head.splitlines()[0].decode()}")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += _more(connection)


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise NotMeasured("the server closed the connection")
    return data


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
