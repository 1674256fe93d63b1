"""Everything recorded of one thing, by its id; and what each step of a run did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from werk import governance, models, registry
from werk.app.answers import Answer
from werk.app.commands import verdicts
from werk.app.commands.past import reader
from werk.app.step_memory import last_words
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.journal import Reader, Row
from werk.core.nouns import ModelVersion, Snapshot, from_micros
from werk.core.platform import Platform
from werk.workflow.capture import Environment

Record = dict[str, object]


def show(id: str, as_of: str | None, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        record = _found(session, reader(session, as_of), id)
    return Answer(record=record, text="\n".join([*_lines(_plain(record)), *_judged(record)]))


def _found(session: Session, then: Reader, id: str) -> Record:
    if id.startswith("run_"):
        found = run_record(session.p, then, id)
        killed = last_words(session.p.project.root, id) if found["status"] == "running" else []
        return {
            **found,
            **({"killed": killed} if killed else {}),
            "made_with": _made_with(session, id, then.rows("steps", {"run": id}, order=("seq",))),
        }
    if id.startswith("prd_"):
        from werk.pipelines.prediction import Served, prediction

        asked = prediction(session.p, id)
        row = asdict(asked) if isinstance(asked, Served) else asked
        return {name: str(value) if name == "cutoff" else value for name, value in row.items()}
    if id.startswith("dep_"):
        return dict(_one(then, "deployments", "deployment", id))
    table, at, version = id.rpartition("@")
    if at and version.isdigit():
        return _table_version(then, Snapshot(table, int(version)))
    if not at and ":" not in id:
        hint = "Name a run, model:version, model@alias, table@version, prediction or deployment."
        raise InputError(f"'{id}' is no id of anything recorded.", code="id-unknown", hint=hint)
    mv = registry.resolve(session.p, id) if at else ModelVersion.parse(id)
    return version_record(session, then, mv)


def run_record(p: Platform, then: Reader, id: str) -> Record:
    row = run_row(then, id)
    kept = {name: value for name, value in row.items() if name not in ("project", "spec")}
    times = {name: time_of(row[name]) for name in ("started", "ended")}
    judged = {"evaluations": verdicts.evaluations(p, then, id), "comparisons": verdicts.comparisons(then, id)}
    return {**kept, **times, "steps": steps_of(then, id), **judged}


def run_row(then: Reader, id: str) -> Row:
    return _one(then, "runs", "run", id)


def _one(then: Reader, projection: str, what: str, id: str) -> Row:
    found = then.rows(projection, {what: id})
    if not found:
        newest = then.rows(projection, order=("-seq",), limit=5)
        raise unknown(what, id, [str(row[what]) for row in newest], code=f"{what}-unknown")
    return found[0]


def steps_of(then: Reader, run: str) -> list[Record]:
    names = ("step", "status", "attempt", "cached_from", "code_sha256", "usage", "outputs", "reads", "writes", "files")
    return [{name: step[name] for name in names} for step in then.rows("steps", {"run": run}, order=("seq",))]


def _made_with(session: Session, id: str, steps: Sequence[Row]) -> dict[str, object]:
    """Seeds, threads, library versions and hardware, as they were recorded without a line of the user's; empty when erased."""
    started = next(iter(session.p.journal.facts(dedupe_key=f"{id}/start"))).body or {}
    environment = Environment.from_json(cast("Mapping[str, JSON]", started.get("environment") or {}))
    facts = {name: about for name, about in environment.facts.items() if name != "distributions"}
    libraries = {n: cast("Mapping[str, JSON]", d)["version"] for n, d in environment.facts.get("distributions", {}).items()}
    return {**_trainers(session, steps), **facts, "hardware": environment.hardware, "distributions": libraries}


def _trainers(session: Session, steps: Sequence[Row]) -> dict[str, object]:
    """The seed and the parameters, threads among them, of each model a step gave; an object that is gone says nothing."""
    outputs = [(str(row["step"]), output) for row in steps for output in cast("list[dict[str, str]]", row["outputs"] or [])]
    keys = {step: output["key"] for step, output in outputs if output["kind"] == models.model_codec.kind}
    stored = session.p.object_store.get(sorted(session.p.object_store.exists(list(keys.values()))))
    found = {step: models.model_codec.described(stored[key]) for step, key in keys.items() if key in stored}
    return {
        "seeds": {step: model.seed for step, model in found.items()},
        "params": {step: dict(model.params) for step, model in found.items()},
    }


def _table_version(then: Reader, snapshot: Snapshot) -> Record:
    found = then.rows("table_versions", {"table": snapshot.table, "version": snapshot.version})
    if not found:
        known = then.rows("table_versions", order=("table", "-version"))
        raise unknown("table version", str(snapshot), [f"{r['table']}@{r['version']}" for r in known], code="version-unknown")
    return {**found[0], "at": time_of(found[0]["at"])}


def version_record(session: Session, then: Reader, mv: ModelVersion) -> Record:
    """The version, who decided what about it and why, and the names it has."""
    found = then.rows("versions", {"model": mv.model, "version": mv.version})
    if not found:
        known = then.rows("versions", order=("model", "-version"))
        raise unknown("model version", str(mv), [f"{r['model']}:{r['version']}" for r in known], code="version-unknown")
    where: Mapping[str, JSON] = {"model": mv.model, "version": mv.version}
    decided = [_decision(session, row) for row in then.rows("approvals", where, order=("seq",))]
    aliases = [row["alias"] for row in then.rows("aliases", where)]
    trainer = governance.actor_named(session.p.journal, str(found[0]["trainer"]))
    about = {"at": time_of(found[0]["at"]), "trainer_name": trainer, "aliases": aliases, "decisions": decided}
    return {**found[0], **about, "evaluation": verdicts.evaluation_of(session.p, then, found[0])}


def _decision(session: Session, row: Row) -> Record:
    said = {name: row[name] for name in ("action", "comment", "assurance")}
    return {**said, "by": governance.actor_named(session.p.journal, str(row["actor"])), "at": time_of(row["at"])}


def time_of(micros: JSON) -> str | None:
    return from_micros(micros).isoformat(timespec="seconds") if isinstance(micros, int) else None


# --- for a reader ---


def _plain(record: Mapping[str, object]) -> Record:
    return {name: value for name, value in record.items() if name not in ("evaluation", "evaluations")}


def _judged(record: Mapping[str, object]) -> Iterator[str]:
    """Of a version all of its evaluation, of a run what each of its models was told."""
    found = cast("Mapping[str, object] | None", record.get("evaluation"))
    yield from verdicts.whole(found) if found else ()
    for one in cast("Sequence[Mapping[str, object]]", record.get("evaluations") or ()):
        yield from verdicts.told(one)


def _lines(record: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Names and values in a column, lists of things a line each; hashes are shortened, --json has them whole."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}"
            yield from (f"{indent}  {_brief(item)}" for item in value)
        else:
            yield f"{indent}{name:<20} {_short(value)}"


def _brief(item: Mapping[str, object]) -> str:
    if "usage" in item:
        return step_line(item)
    return ", ".join(f"{name} {_short(value)}" for name, value in item.items() if value not in (None, "", [], {}))


def _short(value: object) -> str:
    if value is None or value in ([], {}, ""):
        return "-"
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text[:12]}..." if len(text) == 64 and not text.strip("0123456789abcdef") else text


def step_line(step: Mapping[str, object]) -> str:
    usage = cast("Mapping[str, float] | None", step["usage"])
    took = f"{usage['wall_s']:.2f} s, CPU {usage['cpu_s']:.2f} s, peak {usage['peak_bytes'] / 1e6:,.0f} MB" if usage else ""
    from_cache = f"from {step['cached_from']}" if step["cached_from"] else ""
    tries = f", attempt {step['attempt']}" if cast("int", step["attempt"] or 0) > 1 else ""
    return f"{step['step']!s:<22} {step['status']!s:<9} {took}{from_cache}{tries}".rstrip()
