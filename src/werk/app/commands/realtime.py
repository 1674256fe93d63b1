"""The prediction server as somebody who calls it meets it: one flight, both protocols, lines to copy."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import cast

import polars as pl

from werk import registry
from werk.app.commands import actors
from werk.app.wiring import Session, opened
from werk.core.canonical import sha256_hex
from werk.core.errors import Failed
from werk.core.nouns import ModelVersion
from werk.pipelines.prediction import prediction
from werk.pipelines.steps import load

CALLER = "demo-caller"
PREFIX = "Authorization: Bearer "
CALL = """\
import pathlib, urllib.request as r; \
h = dict([pathlib.Path({header!r}).read_text().strip().split(": ", 1)]); \
q = r.Request({url!r}, pathlib.Path({body!r}).read_bytes(), {{**h, "Content-Type": "application/json"}}); \
print(r.urlopen(q).read().decode())"""


@dataclass(frozen=True, slots=True)
class Scored:
    """A row of the table of predictions, and the features it was scored from."""

    model: ModelVersion
    prediction_id: str
    score: float
    row: Mapping[str, object]

    @property
    def invocation(self) -> str:
        return json.dumps({"dataframe_records": [self.row]})

    @property
    def inference(self) -> str:
        """Open Inference Protocol v2: a tensor a feature."""
        return json.dumps({"inputs": [_tensor(name, value) for name, value in self.row.items()]})


def _tensor(name: str, value: object) -> dict[str, object]:
    kind = "BYTES" if isinstance(value, str) else "FP64"
    return {"name": name, "shape": [1], "datatype": kind, "data": [value]}


def champion() -> ModelVersion:
    with opened() as session:
        return registry.resolve(session.p, f"{session.p.project.name}@champion")


def scored_by(version: ModelVersion) -> Scored | None:
    """One flight of the newest batch that this version has scored; None when it has scored none."""
    with opened() as session:
        runs = session.p.journal.rows("runs", {"pipeline": "batch_inference", "status": "finished"}, order=("-started",))
        mine = [str(run["run"]) for run in runs if cast("dict[str, object]", run["params"]).get("model") == str(version)]
        return _first(session, mine[0], version) if mine else None


def _first(session: Session, run: str, version: ModelVersion) -> Scored:
    key = load(session.p, version).key
    answer = _output(session, run, "batch-inference").head(1)
    rows = _output(session, run, "feature-engineering").join(answer, on=key, how="semi")
    id = str(answer["prediction_id"][0])
    stored = cast("Mapping[str, float]", prediction(session.p, id))
    return Scored(version, id, stored["score"], rows.select(load(session.p, version).features).to_dicts()[0])


def _output(session: Session, run: str, step: str) -> pl.DataFrame:
    outputs = cast("list[dict[str, str]]", session.p.journal.rows("steps", {"run": run, "step": step})[0]["outputs"])
    key = outputs[0]["key"]
    return pl.read_parquet(session.p.object_store.get([key])[key])


def header_file() -> Path:
    """A file with the header of somebody who may call the server, readable by this user alone and outside the project.

    The approver's own token is not kept: whoever holds it could approve. One for calling is issued once and found again.
    """
    with opened() as session:
        file = session.settings.home / "callers" / f"{session.p.project.id}-{session.p.stage}.header"
        issued = {str(row["token_sha256"]) for row in session.p.journal.rows("tokens")}
        names = [str(row["name"]) for row in session.p.journal.rows("actors")]
    if file.is_file() and sha256_hex(_token(file)) in issued:
        return file
    before = sum(name.startswith(CALLER) for name in names)
    made = actors.add(f"{CALLER}-{before + 1}" if before else CALLER, None, None).record or {}
    _keep(file, f"{PREFIX}{made['token']}\n")
    return file


def _token(header: Path) -> str:
    return header.read_text(encoding="ascii").strip().removeprefix(PREFIX)


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        out.write(text)


def asked(url: str, header: Path, scored: Scored) -> dict[str, float]:
    """What the server answers for the flight, by the path it was asked at."""
    infer = f"/v2/models/{scored.model.model}/infer"
    first = cast("list[float]", _posted(url + "/invocations", header, scored.invocation)["predictions"])
    second = cast("list[dict[str, list[float]]]", _posted(url + infer, header, scored.inference)["outputs"])
    return {"/invocations": first[0], infer: second[0]["data"][0]}


def _posted(url: str, header: Path, body: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {_token(header)}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=10) as answer:
            return dict(json.load(answer))
    except urllib.error.URLError as wrong:
        said = wrong.read().decode() if isinstance(wrong, urllib.error.HTTPError) else wrong.reason
        raise Failed(f"{url} did not answer: {said}.", code="demo-unanswered", hint="Start it by hand: werk serve.") from None


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """What `werk serve` runs, in a process of its own for as long as it is needed; gives its address.

    It ends when its standard input does: with this process, however that goes.
    """
    command = [sys.executable, "-m", "werk.app.worker", "serve", str(root), "", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("ready at ").strip()
            if not url:
                raise Failed("The prediction server did not start.", code="demo-server", hint="Its words are above.")
            yield url
        finally:
            server.terminate()


def stay(root: Path, port: int) -> None:
    """Become `werk serve`: one process, so that Ctrl-C leaves none behind, and without the memory of what went before."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "werk.app.cli", "serve", "--port", str(port), "--project", str(root)]
    os.execv(sys.executable, command)


def free_port(wanted: int) -> int:
    """The wanted port, or another one when somebody listens there."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lines(root: Path, url: str, header: Path, scored: Scored) -> list[str]:
    """Whole commands that ask the server for the flight: paste them into any folder of another terminal."""
    body = root / ".werk" / "one_row.json"
    body.write_text(scored.inference, encoding="utf-8")
    call = CALL.format(header=str(header), url=f"{url}/v2/models/{scored.model.model}/infer", body=str(body))
    curl = ["curl", "-sS", "-H", f"@{header}", "-H", "Content-Type: application/json", f"{url}/invocations"]
    return [shlex.join([*curl, "-d", scored.invocation]), shlex.join(["python3", "-c", call])]


def documentation() -> str:
    """The address of the documentation, as the package names it."""
    links = [link.partition(", ") for link in metadata("werk").get_all("Project-URL") or ()]
    return next((address for name, _, address in links if name == "Documentation"), "")
