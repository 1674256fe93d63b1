"""The command line: names and options here, the work in `app.commands`, loaded when a command is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # typer's own
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from werk.app import answers, pinned
from werk.app.answers import Answer
from werk.core.errors import InputError, WerkError

PLAIN = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "no_args_is_help": True, "add_completion": False}
HELP = "The whole MLOps loop on one machine, with the proof of each step. Begin with `werk demo`, or `werk init` for your own."
INTERRUPTED = 130  # what Ctrl-C ends with, by the custom of shells; SIGTERM ends a command in the same way
app = typer.Typer(name="werk", help=HELP, **PLAIN)  # type: ignore[arg-type]  # one dict for every Typer
actor = typer.Typer(help="Add and list who may act here, renew and revoke their tokens.", **PLAIN)  # type: ignore[arg-type]  # as above
audit = typer.Typer(help="Check the record.", **PLAIN)  # type: ignore[arg-type]  # as above
app.add_typer(actor, name="actor")
app.add_typer(audit, name="audit")

ProjectDir = Annotated[Path | None, typer.Option("--project", help="The project's folder (default: here or above).")]
Profile = Annotated[str | None, typer.Option("--profile", help="A profile of werk.toml, e.g. team.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunId = Annotated[str, typer.Argument(help="run_..., as `werk runs` lists them.")]
Version = Annotated[str, typer.Argument(help="model:version, e.g. flight-delay:1.")]
Comment = Annotated[str, typer.Option("--comment", help="Why; it is recorded.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="As it stood then, e.g. 2026-03-03T12:00:00+00:00.")]
Params = Annotated[list[str] | None, typer.Option("-p", "--param", help="A pipeline parameter, key=value; again for more.")]


@cache
def commands() -> TyperGroup:
    """All commands as one tree, made once a process."""
    return get_group(app)


def main() -> None:
    """Run the command line; every expected failure is one sentence, a next step and an exit code."""
    as_json = "--json" in sys.argv
    completion_init()  # a shell may ask what can stand at the cursor: see `werk completion`
    _end_as_by_ctrl_c()
    try:
        code = commands()(standalone_mode=False)
    except TyperException as wrong:
        sys.exit(_misused(wrong.format_message(), as_json))
    except (WerkError, OSError, RuntimeError) as error:
        looped = isinstance(error, RuntimeError) and str(error).startswith("Symlink loop")  # pathlib's own, before Python 3.13
        if "--debug" in sys.argv or (isinstance(error, RuntimeError) and not looped):
            raise
        known = error if isinstance(error, WerkError) else answers.of_system(error)
        answers.show_error(known, as_json=as_json)
        sys.exit(known.exit_code)
    if code == INTERRUPTED:
        print("stopped; nothing is lost: `werk runs` shows what can be resumed", file=sys.stderr)
    sys.exit(code)


def _end_as_by_ctrl_c() -> None:
    """On SIGTERM too: a run that is asked to end lets go of its lease, so that it can be resumed at once.

    Processes that a step forks end as they always did: a pool ends its workers with this very signal.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.unraisablehook = _not_lost
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _not_lost(found: sys.UnraisableHookArgs) -> None:
    """Ctrl-C can come while Python clears something away, where nothing can be raised: it is asked for again."""
    if issubclass(found.exc_type, KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__unraisablehook__(found)


def _misused(said: str, as_json: bool) -> int:
    """An unknown command or option; a group called without a command gets its help instead."""
    if said.startswith("Usage:"):
        print(said, file=sys.stderr)
    else:
        hint = "werk --help lists the commands, werk COMMAND --help the options of one."
        answers.show_error(InputError(said, code="usage", hint=hint), as_json=as_json)
    return InputError.exit_code


def _do(command: str, as_json: bool, **given: object) -> None:
    """Load `module.function` of app.commands, call it and show its answer; with --json that alone is on stdout."""
    module, _, name = command.partition(".")
    work = getattr(importlib.import_module(f"werk.app.commands.{module}"), name)
    with answers.aside() if as_json else nullcontext():
        answer = cast("Answer | None", work(**given))
    if answer is not None:
        answers.show(answer, as_json=as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)


def _version(asked: bool) -> None:
    if asked:
        from werk import __version__

        print(f"werk {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of werk itself.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Say which werk this is.", callback=_version, is_eager=True)] = False,
) -> None: ...


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Where the use case is created.")] = Path("flight-delay"),
    break_it: Annotated[
        str | None,
        typer.Option(
            "--break", help="On a copy: kill, flip-byte, fahrenheit, leak, poison-rows or slow-model, and how it is caught."
        ),
    ] = None,
    serve: Annotated[
        bool | None, typer.Option("--serve/--no-serve", help="Let the server stay up at the end (default: on a terminal).")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where it then listens; 0 takes a free one.")] = 8080,
    profile: Profile = None,
) -> None:
    """Walk the whole loop on a year of real flights. Run it again and everything comes from the cache. With --break a copy is
    harmed, and you see how that is caught."""
    _do("demo.demo", False, directory=directory, break_it=break_it, serve=serve, port=port, profile=profile)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The use case's name; a folder of that name is made.")],
    template: Annotated[
        str | None, typer.Option("--template", help="flights (an example with data) or tabular (with --from). [default: flights]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--from", help="Your own Parquet, CSV or JSON-lines file: one row a thing, with its outcome.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="The column of --from to predict.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="binary (1 or 0), regression or multiclass. [default: by what --target holds]")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="The column that says when a row was: the newest rows are held out.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="The column that tells rows apart, again for more than one. [default: one named so, or made]"),
    ] = None,
    json: Json = False,
) -> None:
    """Create a use case, from a template or from a file of yours. Its files are yours to edit. Example: `werk init pumps --from
    pumps.csv --target failed`."""
    _do("projects.init", json, name=name, template=template, data=data, outcome=target, key=key or [], task=task, time=time)


@app.command()
def ingest(
    table: Annotated[str, typer.Argument(help="zone.table, e.g. raw.flights.")],
    source: Annotated[Path, typer.Argument(help="A Parquet, CSV or JSON-lines file.")],
    contract: Annotated[
        str | None, typer.Option("--contract", metavar="TABLE", help="Hold the rows to the contract of another table.")
    ] = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Land a file as a table version, checked by its contract. The contract is contracts/TABLE.yaml; rows that break a required
    rule go to TABLE_quarantine. Example: `werk ingest raw.flights data/flights.parquet`."""
    _do("tables.ingest", json, table=table, source=source, like=contract, project=project, profile=profile)


@app.command()
def tables(
    as_of: AsOf = None,
    set_back: Annotated[
        str | None, typer.Option("--set-back", metavar="TABLE", help="Take out of a table what others wrote over it.")
    ] = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """List tables and quarantines with version and rows. Of a quarantine: the rule that most of its rows break. --set-back TABLE
    makes what this project wrote there last the newest version again, as a version of its own."""
    if set_back is not None:
        _do("tables.set_back", json, table=set_back, project=project, profile=profile)
    else:
        _do("tables.tables", json, as_of=as_of, project=project, profile=profile)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, in quotes (DuckDB's SQL).")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Query the tables and the journal in SQL. journal.runs, journal.metadata, journal.facts ... are the record of what happened.
    Example: `werk sql "select count(*) from raw.flights"`."""
    _do("tables.sql", json, query=query, project=project, profile=profile)


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of this project.")],
    param: Params = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every step, whatever the cache holds.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Leave the terminal to a debugger: what steps print is not kept.")
    ] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Run a pipeline; no finished step is ever lost. Prints the run id; a killed or failed run goes on with `werk resume`.
    Example: `werk run training -p through=2013-06 -p params.rounds=40`."""
    _do(
        "runs.run",
        json,
        pipeline=pipeline,
        given=param or [],
        fresh=fresh,
        in_process=in_process,
        project=project,
        profile=profile,
    )


@app.command()
def resume(run: RunId, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Go on with a failed, refused or killed run. Finished steps are kept."""
    _do("runs.resume", json, run=run, project=project, profile=profile)


@app.command()
def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 20,
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """List the newest runs."""
    _do("runs.runs", json, limit=limit, as_of=as_of, project=project, profile=profile)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="A run, model:version, model@alias, table@version, prediction or deployment.")],
    uncommitted: Annotated[
        bool, typer.Option("--uncommitted", help="Of a run: the patch of what its commit did not hold, for `git apply`.")
    ] = False,
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="OTHER", help="Of a run: what changed from the run OTHER to it.")
    ] = None,
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Show everything recorded of one thing."""
    if diff:
        _do("differing.show_differing", json, run=id, other=diff, project=project, profile=profile)
    elif uncommitted:
        _do("history.show_uncommitted", json, run=id, project=project, profile=profile)
    else:
        _do("show.show", json, id=id, as_of=as_of, project=project, profile=profile)


@app.command()
def debug(
    run: RunId,
    step: Annotated[str | None, typer.Argument(help="One of its steps (default: the one that failed).")] = None,
    stop: Annotated[bool, typer.Option("--break", help="Stop at the step's first line, whether it fails or not.")] = False,
    present_code: Annotated[
        bool, typer.Option("--present-code", help="Run the code as it is now, not as the run recorded it.")
    ] = False,
    project: ProjectDir = None,
    profile: Profile = None,
) -> None:
    """Open a debugger where a step failed. In a process of its own, with the recorded inputs, parameters, code and environment;
    the run, the journal and the tables stay as they are. PYTHONBREAKPOINT chooses another debugger than pdb. Example: `werk debug
    RUN`."""
    given = {"run": run, "step": step, "stop": stop, "present_code": present_code}
    _do("debug.debug", False, **given, project=project, profile=profile)


@app.command()
def logs(
    run: RunId,
    step: Annotated[str | None, typer.Argument(help="Only what this step printed, in its last attempt.")] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Of a step: another attempt.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Show what each step of a run did and printed. State, attempts, seconds, memory; of a failure your own traceback.
    Example: `werk logs RUN training`."""
    if follow:
        _do("logs.follow", json, run=run, step=step, project=project, profile=profile)
    else:
        _do("logs.logs", json, run=run, step=step, attempt=attempt, project=project, profile=profile)


@app.command()
def pipelines(
    name: Annotated[str | None, typer.Argument(help="One of them: its steps; with --json its graph.")] = None,
    project: ProjectDir = None,
    json: Json = False,
) -> None:
    """List the pipelines of this project, or the steps of one."""
    _do("pipelines.pipelines", json, name=name, project=project)


@app.command()
def status(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Show the project on one screen, and what to do next. Champion, what waits, last runs, newest verdicts, tables."""
    _do("status.status", json, project=project, profile=profile)


@app.command()
def models(
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """List model versions with their status and aliases."""
    _do("models.models", json, as_of=as_of, project=project, profile=profile)


@app.command()
def approve(
    version: Version,
    comment: Comment = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Approve a version that somebody else has trained. You are whoever you can prove to be: the holder of WERK_TOKEN, or this
    user account. Example: `WERK_TOKEN=... werk approve flight-delay:1`."""
    _do("models.approve", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def reject(
    version: Version,
    comment: Comment = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Reject a version."""
    _do("models.reject", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def retire(
    version: Version,
    comment: Comment = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Retire an approved version. Not the champion, and none that an endpoint answers with."""
    _do("models.retire", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def alias(
    version: Version,
    name: Annotated[str, typer.Argument(help="champion or challenger.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Point an alias at a version. Example: `werk alias flight-delay:2 challenger`."""
    _do("models.alias", json, version=version, name=name, project=project, profile=profile)


@app.command()
def deploy(
    version: Annotated[str, typer.Argument(help="model:version; it must be approved.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Make an approved version the champion, and let it answer."""
    _do("deployments.deploy", json, version=version, project=project, profile=profile)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="The model, which its endpoint is named like.")],
    comment: Comment = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Let the version before answer again, and be the champion."""
    _do("deployments.rollback", json, model=model, comment=comment, project=project, profile=profile)


@app.command()
def deployments(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """List deployments, newest first."""
    _do("deployments.deployments", json, project=project, profile=profile)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="model:version, model@alias, or a model for its champion.")],
    source: Annotated[str, typer.Argument(help="A Parquet, CSV or JSON-lines file, or a table[@version], with the features.")],
    out: Annotated[Path | None, typer.Option("--out", help="A .parquet, .csv or .jsonl file for all answers.")] = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Score a file or a table, and leave the lake as it is. Example: `werk predict flight-delay rows.csv --out
    scored.parquet`."""
    _do("predict.predict", json, model=model, source=source, out=out, project=project, profile=profile)


@app.command()
def explain(
    prediction: Annotated[str, typer.Argument(help="A prediction id.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Ask a recorded prediction again, with what each feature adds."""
    _do("predict.explain", json, id=prediction, project=project, profile=profile)


@app.command()
def monitor(
    model: Annotated[str | None, typer.Argument(help="model, model:version or model@alias (default: the project's).")] = None,
    window: Annotated[str | None, typer.Option("--window", help="One window only, e.g. 2013-09.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit code 3 when the window checked last has a violation.")] = False,
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Show what the monitors said, window by window."""
    _do("monitor.monitor", json, model=model, window=window, check=check, as_of=as_of, project=project, profile=profile)


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8080,
    project: ProjectDir = None,
    profile: Profile = None,
) -> None:
    """Answer predictions of deployed versions until Ctrl-C. Listens on 127.0.0.1; callers need a token (`werk actor add`)."""
    _do("serve.serve", False, port=port, project=project, profile=profile)


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the prediction server; 0 takes a free one.")] = 8080,
    project: ProjectDir = None,
    profile: Profile = None,
) -> None:
    """Keep a project going until Ctrl-C: server, runs, triggers. It restarts `werk serve` when it dies, takes over runs whose
    worker is gone, starts what triggers ask for. One per project folder. There is no control API and no console yet."""
    _do("up.up", False, port=port, project=project, profile=profile)


@app.command()
def lineage(
    id: Annotated[str, typer.Argument(help="A prediction, run, deployment, model:version or table@version.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Trace a thing back to files and code, and on to its uses."""
    _do("proof.lineage", json, id=id, project=project, profile=profile)


@app.command()
def checkout(
    version: Annotated[str, typer.Argument(help="model:version or model@alias.")],
    directory: Annotated[Path, typer.Argument(help="A new folder.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Put a version's code, model and data into a new folder."""
    _do("checkout.checkout", json, version=version, directory=directory, project=project, profile=profile)


@app.command()
def rebuild(
    version: Version,
    verify: Annotated[bool, typer.Option("--verify", help="Also check every installed file against its RECORD.")] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Train a version again from the record, and compare. Exit code 0 only when the two are identical."""
    _do("rebuild.rebuild", json, version=version, verify=verify, project=project, profile=profile)


@app.command()
def story(
    file: Annotated[Path, typer.Argument(help="Where the page is written.")] = Path("story.html"),
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Write one printable page of what happened. What it cost, who approved, and how to check it."""
    _do("story.story", json, file=file, project=project, profile=profile)


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(help="A new folder outside the project.")],
    keys: Annotated[bool, typer.Option("--keys/--no-keys", help="With the signing key: guard the folder like the key.")] = True,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Copy the whole project as it stands at one fact. Journal, tables, artifacts, code and keys; runs may go on meanwhile."""
    _do("backup.backup", json, directory=directory, keys=keys, project=project, profile=profile)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A new folder outside the project.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Write everything in formats that others read. Delta, MLflow's layout, JSON; no key is in it. The folder's README says how
    each part is read without werk. Example: `werk export ../leaving`."""
    _do("export.export", json, directory=directory, project=project, profile=profile)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only listed.")] = False,
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, metavar="DAYS", help="Of the output of runs that have ended.")
    ] = 30,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """List what the project can do without. Old output of steps and what killed processes have left; nothing that a fact names.
    Example: `werk clean --yes --older-than 7`."""
    _do("clean.clean", json, yes=yes, older_than=older_than, project=project, profile=profile)


@app.command()
def move(
    to: Annotated[str, typer.Option("--to", metavar="PROFILE", help="The profile of werk.toml it is to live in.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, and do nothing.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back a move that has not placed the journal yet.")] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Move a project to another profile's stores. From files to Postgres and S3, or back: the same facts, the same head. It is
    closed where it was; cut off, the same command goes on. Example: `werk move --to team`."""
    _do("move.move", json, to=to, dry_run=dry_run, cancel=cancel, project=project, profile=profile)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The folder that `werk backup` wrote.")],
    target: Annotated[Path | None, typer.Argument(help="A new folder for the project (default: its name, here).")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="The original on this machine is gone: go on from here.")] = False,
    key: Annotated[
        str | None, typer.Option("--key", help="Refuse a backup that another key signed (`werk backup` tells it).")
    ] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Its werk.toml may put things outside the new folder.")] = False,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Check every byte of a backup, then bring the project back."""
    _do("backup.restore", json, source=backup, target=target, replace=replace, key=key, outside=outside, profile=profile)


@app.command()
def upgrade(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Bring the journal of an earlier werk to this one. A copy of its file is kept; then it is checked."""
    _do("upgrade.upgrade", json, project=project, profile=profile)


@app.command()
def doctor(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Check machine and stores, and say what is unproven. Exit code 1 when something is broken."""
    _do("doctor.doctor", json, project=project, profile=profile)


@app.command("help")
def help_on(
    word: Annotated[list[str] | None, typer.Argument(help="An error code, a command or a topic such as journal.")] = None,
    json: Json = False,
) -> None:
    """Explain an error code, a command or a topic, offline. Of a code: what it means, why it exists, whose move it is, what is
    next. Example: `werk help table-unknown`."""
    _do("help.help_on", json, word=" ".join(word) if word else None)


@app.command()
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script that completes commands and options on Tab. In bash: `source <(werk completion bash)`."""
    _do("completion.completion", False, shell=shell)


@actor.command("add")
def actor_add(
    name: Annotated[str, typer.Argument(help="The holder's name.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Issue a token for somebody else. It is shown this once."""
    _do("actors.add", json, name=name, project=project, profile=profile)


@actor.command("renew")
def actor_renew(
    name: Annotated[str, typer.Argument(help="The holder's name.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Give its holder a new token; those from before count no more. It is shown this once."""
    _do("actors.renew", json, name=name, project=project, profile=profile)


@actor.command("revoke")
def actor_revoke(
    name: Annotated[str, typer.Argument(help="The holder's name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record; names nobody.")] = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Take back a lost or leaked token. What it did stays on record; a command that is already running goes on to its end."""
    _do("actors.revoke", json, name=name, reason=reason, project=project, profile=profile)


@actor.command("list")
def actor_list(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """List who has acted here."""
    _do("actors.actors", json, project=project, profile=profile)


@audit.command("verify")
def audit_verify(
    tables: Annotated[str, typer.Option("--tables", help="Hash the files of all versions, of the newest, or of none.")] = "all",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Check the whole record. Facts, tables and stored objects are hashed again, projections replayed, signed heads checked."""
    _do("proof.verify", json, tables=tables, project=project, profile=profile)


if __name__ == "__main__":
    pinned.begin_again(sys.argv[1:])
    main()
