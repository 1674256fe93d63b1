"""The main job, command by command, as a user would type it."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from werk.app.answers import Answer
from werk.app.commands import actors, history, projects, realtime
from werk.app.commands.breaks import BREAKS
from werk.app.commands.realtime import Scored
from werk.app.footprint import Footprint
from werk.app.settings import home, load_settings
from werk.app.wiring import TOKEN, opened
from werk.core.errors import Failed, Refused, unknown
from werk.core.journal import Row
from werk.core.nouns import ModelVersion

TABLES = ("airlines", "airports", "planes", "weather", "flights")
MONTHS = ("2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12")
REVIEWER = "second-person"
PORT = 8080


def demo(
    directory: Path,
    break_it: str | None = None,
    *,
    profile: str | None = None,
    serve: bool | None = None,
    port: int = PORT,
    months: Sequence[str] = MONTHS,
) -> Answer:
    """`serve` None: the prediction server stays up where a person sits at a terminal, and nowhere else."""
    if break_it is not None and break_it not in BREAKS:
        raise unknown("break", break_it, BREAKS, code="break-unknown")
    target = directory.resolve()
    if break_it is not None:
        return Answer(text=f"{BREAKS[break_it](target)}\nthe original is untouched")
    _use_case(target, directory)
    stays = sys.stdin.isatty() and sys.stdout.isatty() if serve is None else serve
    with _inside(target), _profiled(profile):
        _loop(target, months, port if stays else None)
    return Answer(record={"project": str(target)}, text=" ")


def _loop(target: Path, months: Sequence[str], port: int | None) -> None:
    began = time.monotonic()
    with Footprint() as footprint:
        approvals, scored, header = _main_job(target, months)
    took = f"{time.monotonic() - began:.0f} s, peak memory {footprint.peak_gb:.1f} GB with all processes it started"
    print(f"\n== Done: {took}")
    print(f"Human acts: {approvals} approval(s) this time. Everything else followed from facts.")
    _closing(target, scored.model, months[-1])
    if port is not None:
        _stay(target, port, header, scored)


def _main_job(target: Path, months: Sequence[str]) -> tuple[int, Scored, Path]:
    """Everything from landing to the story; returns how many approvals it took and the flight that was asked for."""
    _title("Land and check: five tables, each under its contract; rows that break a required rule are set aside")
    for table in TABLES:
        _werk("ingest", f"raw.{table}", f"data/{table}.parquet")
    _title("A deliberately poor model of one tree: evaluated and reported, but the gate (gate.toml) refuses it")
    _refused("run", "training", "-p", "params.rounds=1", "-p", "params.num_leaves=2", "-p", "champion=none")
    _title("A good one: trained on January to June, judged on the last 45 days, which it has not seen; no champion to beat yet")
    _werk("run", "training", "-p", "champion=none")
    _title("What features of their time are worth: the same model three times, each time knowing more")
    _werk("run", "ladder")
    _rungs()
    _title("Approve: whoever trained a model cannot approve it; a second person can, and the approval deploys it")
    approvals = _approve()
    model = f"{target.name}:1"
    _title("Score month by month; monitors compare each month with what the model was accepted on, a lasting change retrains")
    for month in months:
        _werk("run", "batch_inference", "-p", f"window={month}", "-p", f"model={model}")
        _verdicts(month, model)
        successor = _successor(month, model)
        if successor:
            _title(f"{month} was so different that a retraining started by itself: {successor} is to follow {model}")
            approvals, model = approvals + _approve(), successor
    _cost_of_keeping()
    _title("Real time: the prediction server answers for one flight what the batch had written")
    scored, header = _real_time(target, months[-1])
    _title("Proof: that prediction back to its source files, the whole record checked, the newest model trained once more")
    _werk("lineage", scored.prediction_id)
    _werk("audit", "verify")
    _werk("models")
    _rebuilt()
    _title("Story: all of it on one printable page")
    _werk("story", "story.html")
    return approvals, scored, header


def _closing(target: Path, model: ModelVersion, month: str) -> None:
    """Where things lie, and five commands that show more."""
    with opened() as session:
        ports, local = session.settings.ports, session.settings.journal_url.startswith("sqlite:")
    print(f"\n{target}: your use case; start with pipelines.py, gate.toml and story.html")
    if local:
        print(f"  {ports['table_store']['path']}: the tables   {target / '.werk'}: the journal and the models")
    else:
        print(f"  tables {ports['table_store']['path']}   the journal and the models: the [profile] in werk.toml")
    print(f"  {home()}: keys and signed heads, outside the project on purpose")
    print("\nTry next, in that folder:")
    query = "select carrier, count(*) as flights, avg(score) as late from product.predictions group by carrier order by late"
    _try("what a version was made of", "show", str(model))
    _try("ask the predictions", "sql", query)
    stronger = (
        f"more trees, up to {month}; the gate compares it with the champion on days new to both, what passes awaits approval"
    )
    _try(stronger, "run", "training", "-p", "params.rounds=300", "-p", f"through={month}")
    _try("harm a copy and see it caught", "demo", ".", "--break", "flip-byte") if local else None
    _try("a use case of your own", "init", "../my-case")


def _try(why: str, *words: str) -> None:
    print(f"  $ {shlex.join(['werk', *words])}   # {why}")


def _stay(target: Path, wanted: int, header: Path, scored: Scored) -> None:
    """Print how to ask the server, then become it."""
    port = realtime.free_port(wanted)
    if wanted not in (0, port):
        print(f"\nport {wanted} is in use: taking {port}")
    curl, python = realtime.lines(target, f"http://127.0.0.1:{port}", header, scored)
    print("\nThe prediction server stays up until Ctrl-C. Ask it from another terminal for that flight, by either protocol:")
    print(f"\n{curl}\n\n{python}\n")
    print(f"the token is in {header}; documentation: {realtime.documentation()}")
    print(f"\n$ werk serve --port {port}")
    realtime.stay(target, port)


def _successor(month: str, model: str) -> str:
    """The version registered by the run that this month's violation of this model started; empty when there is none."""
    with opened() as session:
        journal = session.p.journal
        drifts = journal.facts(kinds=("drift.detected",), subject=model)
        asked = {fact.seq for fact in drifts if (fact.body or {}).get("window") == month}
        runs = [row["run"] for row in journal.rows("firings") if row["fact"] in asked]
        found = journal.rows("versions", {"run": runs}) if runs else []
    return f"{found[0]['model']}:{found[0]['version']}" if found else ""


def _use_case(target: Path, typed: Path) -> None:
    known = (target / "werk.toml").is_file()
    if known:
        print(f"using the use case in {target}")
    else:
        print(f"$ {shlex.join(['werk', 'init', str(typed)])}")
        projects.create(target, "flights")
    if target != Path.cwd():
        print(f"$ {shlex.join(['cd', str(typed)])}")
    if not known:
        history.begin(target)  # so that the lineage leads to a commit


def _werk(*words: str) -> None:
    """Print the command and run it through the command line itself."""
    from werk.app.cli import INTERRUPTED, commands  # the command line imports this module by name when `demo` is called

    print(f"\n$ {shlex.join(['werk', *words])}", flush=True)
    code = commands()(list(words), standalone_mode=False)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise Failed(f"`{words[0]}` ended with exit code {code}.", code="demo-failed", hint="Its words are above.")


def _refused(*words: str) -> None:
    try:
        _werk(*words)
    except Refused as no:
        print(f"refused (exit code {no.exit_code}): {no.message} [{no.code}]")
        return
    raise Failed(
        "The gate let the poor model pass.", code="demo-gate", hint="Look at gate.toml: it should refuse a one-tree model."
    )


def _approve() -> int:
    """Approve what is pending, as somebody else than its trainer; returns how many approvals that took."""
    pending = _versions("pending")
    for row in pending:
        name, holder = f"{row['model']}:{row['version']}", f"{REVIEWER}-{row['version']}"
        _refused("approve", name)
        print(f"\n$ werk actor add {holder}   # shows a token, once, for {holder} alone")
        token = str((actors.add(holder, None, None).record or {})["token"])
        print(f"{holder}, with that token in WERK_TOKEN:")
        with _set(TOKEN, token):
            _werk("approve", name, "--comment", "gate passed, plan read")
    if not pending:
        print("nothing is pending: the version in use is already approved")
    return len(pending)


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


def _real_time(target: Path, month: str) -> tuple[Scored, Path]:
    """Ask `werk serve` for one flight and compare with what the table of predictions holds, bit for bit."""
    version = realtime.champion()
    scored = realtime.scored_by(version)
    if scored is None:
        _werk("run", "batch_inference", "-p", f"window={month}", "-p", f"model={version}")
        scored = realtime.scored_by(version)
    assert scored is not None  # it has just been written
    header = realtime.header_file()
    print("\n$ werk serve --port 0", flush=True)
    with realtime.serving(target) as url:
        answers = realtime.asked(url, header, scored)
    _equal(scored, answers)
    return scored, header


def _equal(scored: Scored, answers: Mapping[str, float]) -> None:
    print(f"  {'product.predictions':<36} {scored.score!r}   ({scored.prediction_id}, {scored.model})")
    for path, answer in answers.items():
        print(f"  {'POST ' + path:<36} {answer!r}   {'equal bit for bit' if answer == scored.score else 'DIFFERENT'}")
    if any(answer != scored.score for answer in answers.values()):
        raise Failed("The served answer differs from the batch score.", code="demo-unequal", hint="Compare both versions.")


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
def _profiled(profile: str | None) -> Iterator[None]:
    """Every command under this profile of werk.toml."""
    if profile is None:
        yield
        return
    load_settings(Path.cwd(), profile)  # a profile that cannot be used is named before anything is done
    print(f"$ export WERK_PROFILE={profile}")
    with _set("WERK_PROFILE", profile):
        yield


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
