"""The command line: names and options here, the work in `app.commands`, loaded when a command is called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.exceptions import TyperException

from werk.app import answers, pinned
from werk.app.answers import Answer
from werk.core.errors import InputError, WerkError

PLAIN = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "no_args_is_help": True, "add_completion": False}
INTERRUPTED = 130  # what Ctrl-C ends with, by the custom of shells
app = typer.Typer(name="werk", help="The whole MLOps loop on one machine, with the proof of each step.", **PLAIN)  # type: ignore[arg-type]  # one dict for every Typer
actor = typer.Typer(help="Who may act here.", **PLAIN)  # type: ignore[arg-type]  # as above
audit = typer.Typer(help="Check what was recorded.", **PLAIN)  # type: ignore[arg-type]  # as above
app.add_typer(actor, name="actor")
app.add_typer(audit, name="audit")

ProjectDir = Annotated[Path | None, typer.Option("--project", help="The project's folder (default: here or above).")]
Profile = Annotated[str | None, typer.Option("--profile", help="A profile of werk.toml, e.g. team.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="As it stood at a time (ISO 8601 with a zone).")]
Params = Annotated[list[str] | None, typer.Option("-p", "--param", help="A pipeline parameter, key=value.")]


def entry() -> None:
    """What the script `werk` calls: the command line in a process whose arithmetic is pinned."""
    pinned.begin_again(sys.argv[1:])
    main()


def main() -> None:
    """Run the command line; every expected failure is one sentence, a next step and an exit code."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
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


def _misused(said: str, as_json: bool) -> int:
    """An unknown command or option; a group called without a command gets its help instead."""
    if said.startswith("Usage:"):
        print(said, file=sys.stderr)
    else:
        hint = "werk --help lists the commands, werk COMMAND --help the options of one."
        answers.show_error(InputError(said, code="usage", hint=hint), as_json=as_json)
    return InputError.exit_code


def _do(command: str, as_json: bool, **given: object) -> None:
    """Load `module.function` of app.commands, call it and show its answer."""
    module, _, name = command.partition(".")
    work = getattr(importlib.import_module(f"werk.app.commands.{module}"), name)
    answer = cast("Answer | None", work(**given))
    if answer is not None:
        answers.show(answer, as_json=as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of werk itself.")] = False,
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
    """The main job on a year of real flights."""
    _do("demo.demo", False, directory=directory, break_it=break_it, serve=serve, port=port, profile=profile)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The use case's name; a folder of that name is made.")],
    template: Annotated[str, typer.Option("--template", help="The template to start from.")] = "flights",
    json: Json = False,
) -> None:
    """A new use case: real files that you own, edit and run."""
    _do("projects.init", json, name=name, template=template)


@app.command()
def ingest(
    table: Annotated[str, typer.Argument(help="zone.table, e.g. raw.flights.")],
    source: Annotated[Path, typer.Argument(help="A Parquet, CSV or JSON-lines file.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Land a file as a table, under its contract in contracts/."""
    _do("tables.ingest", json, table=table, source=source, project=project, profile=profile)


@app.command()
def tables(as_of: AsOf = None, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Every table with its version, rows and quarantined rows."""
    _do("tables.tables", json, as_of=as_of, project=project, profile=profile)


@app.command()
def sql(query: str, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Ask the tables in SQL; journal.runs, journal.metadata, journal.facts ... are the record of what happened."""
    _do("tables.sql", json, query=query, project=project, profile=profile)


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of this project.")],
    param: Params = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not use cached results.")] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Run a pipeline here, durably; prints the run id."""
    _do("runs.run", json, pipeline=pipeline, given=param or [], fresh=fresh, project=project, profile=profile)


@app.command()
def resume(run: str, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Go on with a failed, refused or killed run; finished steps are kept."""
    _do("runs.resume", json, run=run, project=project, profile=profile)


@app.command()
def runs(
    limit: Annotated[int, typer.Option("--limit", min=1)] = 20,
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """The newest runs."""
    _do("runs.runs", json, limit=limit, as_of=as_of, project=project, profile=profile)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="A run, model:version, model@alias, table@version, prediction or deployment.")],
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Everything recorded of one thing."""
    _do("show.show", json, id=id, as_of=as_of, project=project, profile=profile)


@app.command()
def logs(run: str, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """What each step of a run did: state, attempts, seconds, memory; of a failure your own traceback."""
    _do("show.logs", json, run=run, project=project, profile=profile)


@app.command()
def pipelines(
    name: Annotated[str | None, typer.Argument(help="One of them: its steps; with --json its graph.")] = None,
    project: ProjectDir = None,
    json: Json = False,
) -> None:
    """The pipelines of this project, or one as a graph."""
    _do("pipelines.pipelines", json, name=name, project=project)


@app.command()
def status(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """One screen: champion, what waits, last runs, newest verdicts, tables, and what to do next."""
    _do("status.status", json, project=project, profile=profile)


@app.command()
def models(
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Every model version with its status and aliases."""
    _do("models.models", json, as_of=as_of, project=project, profile=profile)


@app.command()
def approve(
    version: Annotated[str, typer.Argument(help="model:version")],
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Approve a version as whoever you can prove to be (WERK_TOKEN); its trainer is refused."""
    _do("models.approve", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def reject(
    version: str,
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Reject a version."""
    _do("models.reject", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def retire(
    version: str,
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Retire an approved version that is not the champion."""
    _do("models.retire", json, version=version, comment=comment, project=project, profile=profile)


@app.command()
def alias(version: str, name: str, project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Point an alias (champion, challenger) at a version."""
    _do("models.alias", json, version=version, name=name, project=project, profile=profile)


@app.command()
def deploy(
    version: Annotated[str, typer.Argument(help="model:version; it must be approved.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Make an approved version the champion and let the server answer with it."""
    _do("deployments.deploy", json, version=version, project=project, profile=profile)


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="The model, which its endpoint is named like.")],
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Let the version before answer again, and be the champion again."""
    _do("deployments.rollback", json, model=model, comment=comment, project=project, profile=profile)


@app.command()
def deployments(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Every deployment, newest first."""
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
    """Score rows with a registered version; the lake is left as it is."""
    _do("predict.predict", json, model=model, source=source, out=out, project=project, profile=profile)


@app.command()
def explain(
    prediction: Annotated[str, typer.Argument(help="A prediction id.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Ask a recorded prediction again: the same score, and what each feature added to it."""
    _do("predict.explain", json, id=prediction, project=project, profile=profile)


@app.command()
def monitor(
    model: Annotated[str | None, typer.Argument(help="model, model:version or model@alias (default: the project's).")] = None,
    window: Annotated[str | None, typer.Option("--window", help="One window only, e.g. 2013-09.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit code 3 when the newest window has a violation.")] = False,
    as_of: AsOf = None,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """What the monitors said, window by window."""
    _do("monitor.monitor", json, model=model, window=window, check=check, as_of=as_of, project=project, profile=profile)


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8080,
    project: ProjectDir = None,
    profile: Profile = None,
) -> None:
    """Answer predictions of the deployed versions until Ctrl-C (127.0.0.1, a token is required)."""
    _do("serve.serve", False, port=port, project=project, profile=profile)


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the prediction server; 0 takes a free one.")] = 8080,
    project: ProjectDir = None,
    profile: Profile = None,
) -> None:
    """Keep a project going until Ctrl-C: restart `werk serve` when it dies, go on with runs whose worker is gone, start what
    triggers ask for. One per project folder. There is no control API and no console yet."""
    _do("up.up", False, port=port, project=project, profile=profile)


@app.command()
def lineage(
    id: Annotated[str, typer.Argument(help="A prediction, run, deployment, model:version or table@version.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """What a thing came from, back to source files and code, and what came from it."""
    _do("proof.lineage", json, id=id, project=project, profile=profile)


@app.command()
def checkout(
    version: Annotated[str, typer.Argument(help="model:version or model@alias")],
    directory: Annotated[Path, typer.Argument(help="A new folder.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Put a version's code, model and data into a folder."""
    _do("checkout.checkout", json, version=version, directory=directory, project=project, profile=profile)


@app.command()
def rebuild(
    version: Annotated[str, typer.Argument(help="model:version")],
    verify: Annotated[bool, typer.Option("--verify", help="Also check every installed file against its RECORD.")] = False,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Train a registered model again from what was recorded; exit code 0 only when it is identical."""
    _do("rebuild.rebuild", json, version=version, verify=verify, project=project, profile=profile)


@app.command()
def story(
    file: Annotated[Path, typer.Argument(help="Where the page is written.")] = Path("story.html"),
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """One printable page: what happened, what it cost, who approved, and how to check it."""
    _do("story.story", json, file=file, project=project, profile=profile)


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(help="A new folder outside the project.")],
    keys: Annotated[bool, typer.Option("--keys/--no-keys", help="With the signing key: guard the folder like the key.")] = True,
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Copy journal, tables, artifacts, code and keys as they stand at one fact; runs may go on meanwhile."""
    _do("backup.backup", json, directory=directory, keys=keys, project=project, profile=profile)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The folder that `werk backup` wrote.")],
    target: Annotated[Path | None, typer.Argument(help="A new folder for the project (default: its name, here).")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="The original on this machine is gone: go on from here.")] = False,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Check every byte of a backup, then bring the project back from it."""
    _do("backup.restore", json, source=backup, target=target, replace=replace, profile=profile)


@app.command()
def doctor(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Versions, bindings, what works here and now, and what is unproven; exit code 1 when something is broken."""
    _do("doctor.doctor", json, project=project, profile=profile)


@actor.command("add")
def actor_add(
    name: Annotated[str, typer.Argument(help="The holder's name.")],
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Issue a token for somebody else; it is shown this once."""
    _do("actors.add", json, name=name, project=project, profile=profile)


@actor.command("list")
def actor_list(project: ProjectDir = None, profile: Profile = None, json: Json = False) -> None:
    """Who has acted here."""
    _do("actors.actors", json, project=project, profile=profile)


@audit.command("verify")
def audit_verify(
    tables: Annotated[str, typer.Option("--tables", help="Hash the files of all versions, of the newest, or of none.")] = "all",
    project: ProjectDir = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Hash every fact and every table's files again, replay every projection, check every signed head."""
    _do("proof.verify", json, tables=tables, project=project, profile=profile)


if __name__ == "__main__":
    entry()
