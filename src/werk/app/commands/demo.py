"""The main job, command by command, as a user would type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import polars as pl

from werk import data, models, registry
from werk.app.answers import Answer
from werk.app.commands import actors, projects
from werk.app.commands.breaks import BREAKS
from werk.app.wiring import TOKEN, opened
from werk.core.errors import Failed, Refused, unknown
from werk.core.journal import Row
from werk.pipelines.steps import load

TABLES = ("airlines", "airports", "planes", "weather", "flights")
MONTHS = ("2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12")
REVIEWER = "second-person"


def demo(directory: Path, break_it: str | None) -> Answer:
    began = time.monotonic()
    if break_it is not None and break_it not in BREAKS:
        raise unknown("break", break_it, BREAKS, code="break-unknown")
    target = directory.resolve()
    if break_it is not None:
        return Answer(text=f"{BREAKS[break_it](target)}\nthe original is untouched")
    _use_case(target)
    with _inside(target):
        return _loop(target, began)


def _loop(target: Path, began: float) -> Answer:
    _title("Land and check: five tables, each under its contract")
    for table in TABLES:
        _werk("ingest", f"raw.{table}", f"data/{table}.parquet")
    _title("A deliberately poor model: evaluated, reported, not registered")
    _refused("run", "training", "-p", "params.rounds=1", "-p", "params.num_leaves=2", "-p", "champion=none")
    _title("A good one: trained on January to June, the last 45 days held out; the first has no champion to beat")
    _werk("run", "training", "-p", "champion=none")
    _title("What features of their time are worth: the same model three times, each time knowing more")
    _werk("run", "ladder")
    _rungs()
    _title("Approve: by a second actor with its own token; the approval deploys")
    approvals, token = _approve()
    model = f"{target.name}:1"
    _title("Score month by month; each is compared with what the model was accepted on, a violation retrains")
    for month in MONTHS:
        _werk("run", "batch_inference", "-p", f"window={month}", "-p", f"model={model}")
        _verdicts(month, model)
        successor = _successor(month, model)
        if successor:
            _title(f"{month} started a retraining: {successor} is to follow {model}")
            more, newer = _approve()
            approvals, token, model = approvals + more, newer or token, successor
    _cost_of_keeping()
    _title("Real time: the server answers one flight as the batch did")
    _real_time(target, token)
    _title("Proof: one prediction back to its source files, and the whole record checked")
    _werk("lineage", _a_prediction())
    _werk("audit", "verify")
    _werk("models")
    _rebuilt()
    _werk("story", "story.html")
    print(f"\nHuman acts in all of this: {approvals} approval(s) this time. Took {time.monotonic() - began:.0f} s.")
    print(f"Everything lies in {target}. Try: cd {target.name}; werk runs; werk serve; edit gate.toml and run again.")
    return Answer(record={"project": str(target)}, text=" ")


def _successor(month: str, model: str) -> str:
    """The version registered by the run that this month's violation of this model started; empty when there is none."""
    with opened() as session:
        journal = session.p.journal
        drifts = journal.facts(kinds=("drift.detected",), subject=model)
        asked = {fact.seq for fact in drifts if (fact.body or {}).get("window") == month}
        runs = [row["run"] for row in journal.rows("firings") if row["fact"] in asked]
        found = journal.rows("versions", {"run": runs}) if runs else []
    return f"{found[0]['model']}:{found[0]['version']}" if found else ""


def _use_case(target: Path) -> None:
    if (target / "werk.toml").is_file():
        print(f"using the use case in {target}")
        return
    print(f"$ werk init {target.name} --template flights")
    projects.create(target, "flights")


def _werk(*words: str) -> None:
    """Print the command and run it through the command line itself."""
    from werk.app.cli import app  # the command line imports this module by name when `demo` is called

    print("\n$ werk " + " ".join(f'"{word}"' if " " in word else word for word in words), flush=True)
    app(list(words), standalone_mode=False)


def _refused(*words: str) -> None:
    try:
        _werk(*words)
    except Refused as no:
        print(f"refused (exit code {no.exit_code}): {no.message} [{no.code}]")
        return
    raise Failed(
        "The gate let the poor model pass.", code="demo-gate", hint="Look at gate.toml: it should refuse a one-tree model."
    )


def _approve() -> tuple[int, str]:
    """Approve what is pending; returns how many approvals that took and the last holder's token."""
    pending, token = _versions("pending"), ""
    for row in pending:
        name, holder = f"{row['model']}:{row['version']}", f"{REVIEWER}-{row['version']}"
        _refused("approve", name)
        print(f"\n$ werk actor add {holder}   # its token is shown once, to its holder")
        token = str((actors.add(holder, None, None).record or {})["token"])
        with _acting(token):
            _werk("approve", name, "--comment", "gate passed, plan read")
    if not pending:
        print("nothing is pending: the version in use is already approved")
    return len(pending), token


def _versions(status: str) -> list[Row]:
    with opened() as session:
        return session.p.journal.rows("versions", {"status": status}, order=("model", "version"))


def _verdicts(window: str, model: str) -> None:
    with opened() as session:
        version = model.rpartition(":")[2]
        for row in session.p.journal.rows("monitors", {"window": window, "version": version}, order=("monitor",)):
            print(f"  {row['monitor']!s:<16} {row['verdict']!s:<11} {row['sentence']}")


def _rungs() -> None:
    with opened() as session:
        for row in session.p.journal.rows("rungs", order=("place",)):
            print(f"  AUC {row['auc']:.3f}  {row['knows']}")


def _a_prediction() -> str:
    with opened() as session:
        found = data.sql(session.p, "select min(prediction_id) as id from product.predictions")
    return str(found["id"][0])


def _rebuilt() -> None:
    """The newest approved version, trained again elsewhere: its hash must be the one recorded."""
    newest = _versions("approved")[-1]
    name = f"{newest['model']}:{newest['version']}"
    with opened() as session:
        before = session.p.journal.rows("rebuilds", {"version": name, "outcome": "identical"})
    if before:
        print(f"\n{name} was rebuilt before: identical. Again: werk rebuild {name} --verify")
    else:
        _werk("rebuild", name, "--verify")


def _cost_of_keeping() -> None:
    """The version that the first violation brought, against the one it replaced, on the months after."""
    approved = [f"{row['model']}:{row['version']}" for row in _versions("approved")]
    if len(approved) < 2:
        return
    first, second = approved[:2]
    _title("What keeping the old model would have cost: both on October to December")
    _werk("run", "comparison", "-p", f"a={second}", "-p", f"b={first}", "-p", "start=2013-10", "-p", "through=2013-12")
    with opened() as session:
        row = session.p.journal.rows("comparisons", {"a": second, "b": first}, limit=1)[0]
    print(
        f"AUC of {second} {row['auc_a']:.4f}, of {first} {row['auc_b']:.4f}: "
        f"difference {row['difference']:+.4f} (95 % {row['low']:+.4f} to {row['high']:+.4f}) on {row['rows']:,} flights"
    )


def _real_time(target: Path, token: str) -> None:
    """Start `werk serve`, ask for one flight of the last month and compare with its batch score, bit for bit."""
    if not token:
        print("shown the first time; start it yourself: werk serve")
        return
    row, score = _last_scored()
    command = [sys.executable, "-m", "werk.app.cli", "serve", "--port", "0", "--project", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("ready at ").strip()
            print(f"\n$ curl -H 'Authorization: Bearer ...' {url}/invocations -d '{{\"dataframe_records\": [...]}}'")
            answer = _ask(url, token, row)
        finally:
            server.terminate()
    print(f"served {answer!r}, batch {score!r}: {'equal bit for bit' if answer == score else 'DIFFERENT'}")
    if answer != score:
        raise Failed("The served answer differs from the batch score.", code="demo-unequal", hint="Compare both versions.")


def _ask(url: str, token: str, row: Mapping[str, object]) -> float:
    body = json.dumps({"dataframe_records": [row]}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/invocations", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answered:
        return float(json.load(answered)["predictions"][0])


def _last_scored() -> tuple[dict[str, object], float]:
    """One flight's features as the newest batch run saw them, and its score."""
    with opened() as session:
        p = session.p
        champion = registry.resolve(p, f"{p.project.name}@champion")
        newest = p.journal.rows("runs", {"pipeline": "batch_inference", "status": "finished"}, order=("-started",), limit=1)[0]
        frames = {}
        for step in ("feature-engineering", "batch-inference"):
            outputs = cast("list[dict[str, str]]", p.journal.rows("steps", {"run": newest["run"], "step": step})[0]["outputs"])
            key = outputs[0]["key"]
            frames[step] = pl.read_parquet(p.object_store.get([key])[key])
        model = load(p, champion)
        first = frames["batch-inference"].head(1)
        row = frames["feature-engineering"].join(first, on=model.key, how="semi").select(model.features)
        if first["version"][0] != champion.version:
            return row.to_dicts()[0], float(models.predict(p, model, row)[0])
    return row.to_dicts()[0], float(first["score"][0])


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _acting(token: str) -> Iterator[None]:
    os.environ[TOKEN] = token
    try:
        yield
    finally:
        del os.environ[TOKEN]
