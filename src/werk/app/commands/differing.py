"""What changed from one run to another: code, parameters, data, environment, and the step at which they part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

from werk.app.answers import Answer
from werk.app.commands import verdicts
from werk.app.commands.show import run_row, time_of
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.core.journal import Reader, Row
from werk.core.nouns import Snapshot
from werk.core.spec import FromParam, Node, Spec
from werk.data.tables import rows_of
from werk.workflow.again import begun_with
from werk.workflow.capture import Environment, diff, differences

Record = dict[str, object]
_ABSENT = "absent"
_LONGEST = 200  # lines of a patch that are shown; --json has it whole


def show_differing(run: str, other: str, project: Path | None, profile: str | None) -> Answer:
    """From `other`, as a rule the one that went well, to `run`."""
    with opened(project, profile) as session:
        found = differing(session, run, other)
    return Answer(record=found, text="\n".join(_lines(found)))


def differing(session: Session, run: str, other: str) -> Record:
    """`code`, `params`, `data`, `environment`, `metrics`: what is not the same, from `other` to `run`; and where they `part`.

    Raises `InputError` for a run that is unknown, erased or of another pipeline.
    """
    then: Reader = session.p.journal
    rows = {id: run_row(then, id) for id in (other, run)}
    if rows[run]["pipeline"] != rows[other]["pipeline"]:
        made = " and ".join(f"{id} of {row['pipeline']}" for id, row in rows.items())
        hint = "Name two runs of one pipeline: `werk runs` lists them."
        raise InputError(f"Runs of two pipelines cannot be compared: {made}.", code="runs-incomparable", hint=hint)
    a, b = (begun_with(then, id) for id in (other, run))
    steps = [{str(row["step"]): row for row in then.rows("steps", {"run": id})} for id in (other, run)]
    changed: Record = {
        "code": _code(session.p.project.root, a["code"], b["code"]),
        "params": _values(a["params"], b["params"]),
        "data": _tables(then, (a, b), steps, any(row["status"] != "finished" for row in rows.values())),
        "environment": differences(*(Environment.from_json(cast("Mapping[str, JSON]", of["environment"])) for of in (a, b))),
        "metrics": _metrics(session, then, other, run),
    }
    about = {side: _about(rows[id]) for side, id in (("from", other), ("to", run))}
    spec = Spec.from_json(cast("Mapping[str, object]", b["spec"]))
    return {"pipeline": rows[run]["pipeline"], **about, **changed, "parts": _parting(spec, steps, changed)}


def _about(row: Row) -> Record:
    error = cast("Mapping[str, JSON]", row["error"] or {})
    return {"run": row["run"], "status": row["status"], "started": time_of(row["started"]), "error": error.get("message")}


# --- what is not the same ---


def _code(root: Path, a: JSON, b: JSON) -> Record | None:
    one, two = cast("Mapping[str, JSON]", a), cast("Mapping[str, JSON]", b)
    if one.get("tree") == two.get("tree"):
        return None
    trees: Record = {
        name: {"tree": code.get("tree"), "commit": code.get("commit")} for name, code in (("from", one), ("to", two))
    }
    try:
        patch = diff(root / ".werk" / "code.git", str(one.get("tree")), str(two.get("tree")))
    except InputError as elsewhere:
        return {**trees, "patch": None, "why": elsewhere.message}
    return {**trees, "files": [line.removeprefix("diff --git a/") for line in _heads(patch)], "patch": patch}


def _heads(patch: str) -> list[str]:
    """`a/x b/x` of each file, as its one name."""
    heads = [line for line in patch.splitlines() if line.startswith("diff --git a/")]
    return [head[: head.index(" b/", (len(head) - len("diff --git a/")) // 2)] for head in heads]


def _values(a: JSON, b: JSON) -> dict[str, list[object]]:
    """By name, the value before and after."""
    one, two = cast("Mapping[str, JSON]", a), cast("Mapping[str, JSON]", b)
    names = sorted({*one, *two})
    return {name: [one.get(name, _ABSENT), two.get(name, _ABSENT)] for name in names if one.get(name) != two.get(name)}


def _tables(then: Reader, begun: Sequence[Mapping[str, JSON]], steps: Sequence[Mapping[str, Row]], partly: bool) -> list[Record]:
    """Those the steps read; of a run that did not come to its end, whose last step's reads nobody knows, all it could read."""
    read = [dict(_read(of.values())) for of in steps]
    pins = [cast("Mapping[str, int]", of["pins"]) for of in begun]
    at = [{**(pinned if partly else {}), **was} for pinned, was in zip(pins, read, strict=True)]
    changed = [name for name in sorted({*at[0], *at[1]}) if at[0].get(name) != at[1].get(name)]
    return [_table(then, name, at[0].get(name), at[1].get(name)) for name in changed]


def _read(steps: Iterable[Row]) -> Iterator[tuple[str, int]]:
    for row in steps:
        for text in cast("list[str]", row["reads"] or []):
            snapshot = Snapshot.parse(text)
            yield snapshot.table, snapshot.version


def _table(then: Reader, name: str, a: int | None, b: int | None) -> Record:
    versions = [next(iter(then.rows("table_versions", {"table": name, "version": at})), {}) for at in (a, b) if at is not None]
    found: Record = {"table": name, "versions": [a, b]}
    if len(versions) < 2 or not all(versions):
        return found
    one, two = versions
    return {
        **found,
        "rows": [rows_of(then, one), rows_of(then, two)],
        "columns": _values(one["schema"] or {}, two["schema"] or {}),
    }


def _metrics(session: Session, then: Reader, a: str, b: str) -> dict[str, list[object]]:
    return _values(*(dict(_measured(verdicts.evaluations(session.p, then, run))) for run in (a, b)))


def _measured(evaluations: Sequence[Record]) -> Iterator[tuple[str, JSON]]:
    for found in evaluations:
        for name, entry in cast("Mapping[str, Mapping[str, JSON]]", found["metrics"] or {}).items():
            yield f"{found['model']} {name}", entry.get("value")


# --- where they part ---


def _parting(spec: Spec, steps: Sequence[Mapping[str, Row]], changed: Record) -> Record | None:
    """The first step that gave something else, and what of it is not the same; None where all gave the same."""
    for node in spec.nodes:
        before, now = (of.get(node.id, {}) for of in steps)
        if _gave(before) != _gave(now):
            status = [str(row.get("status") or "not reached") for row in (before, now)]
            return {"step": node.id, "status": status, "why": list(_because(node, before, now, changed))}
    return None


def _gave(step: Row) -> list[str] | None:
    outputs = cast("list[dict[str, str]] | None", step.get("outputs"))
    return None if outputs is None else [output["digest"] for output in outputs]


def _because(node: Node, before: Row, now: Row, changed: Record) -> Iterator[str]:
    """Of what can change a step's result, that which did; all steps before it gave the same, so none of its inputs did."""
    code = [row.get("code_sha256") for row in (before, now)]
    if all(code) and code[0] != code[1]:
        yield "its code"
    elif changed["code"] and not all(code):
        yield "perhaps its code: a step that gave nothing recorded none"
    params = cast("Mapping[str, object]", changed["params"])
    yield from (source.name for source in node.inputs.values() if isinstance(source, FromParam) and source.name in params)
    reads = [set(cast("list[str]", row.get("reads") or [])) for row in (before, now)]
    tables = [str(table["table"]) for table in cast("list[Record]", changed["data"])]
    yield from (name for name in tables if any(text.startswith(f"{name}@") for text in reads[0] ^ reads[1]))
    if changed["environment"]:
        yield "the environment"


# --- for a reader ---


def _lines(found: Record) -> Iterator[str]:
    one, two = (cast("Mapping[str, object]", found[side]) for side in ("from", "to"))
    yield f"{found['pipeline']}, from {_run(one)} to {_run(two)}"
    yield from (f"  {about['run']}: {about['error']}" for about in (one, two) if about["error"])
    yield from _of_steps(cast("Mapping[str, object] | None", found["parts"]))
    yield from _of_code(cast("Mapping[str, object] | None", found["code"]))
    yield from _of_values("params", cast("Mapping[str, list[object]]", found["params"]))
    data = cast("list[Mapping[str, object]]", found["data"])
    yield from ("data", *(f"  {line}" for table in data for line in _of_table(table))) if data else ("data         the same",)
    environment = cast("list[str]", found["environment"])
    yield from ("environment", *(f"  {line}" for line in environment)) if environment else ("environment  the same",)
    yield from _of_values("metrics", cast("Mapping[str, list[object]]", found["metrics"]))
    yield from _of_patch(cast("Mapping[str, object] | None", found["code"]))


def _run(about: Mapping[str, object]) -> str:
    return f"{about['run']} ({about['status']}, {about['started']})"


def _of_steps(parts: Mapping[str, object] | None) -> Iterator[str]:
    if not parts:
        yield "steps        every step gave the same"
        return
    before, now = cast("list[str]", parts["status"])
    why = cast("list[str]", parts["why"])
    because = ", ".join(why) if why else "nothing that is recorded, so its result is not decided by its inputs alone"
    yield f"steps        the same until '{parts['step']}' ({before} -> {now}); not the same of it: {because}"


def _of_code(code: Mapping[str, object] | None) -> Iterator[str]:
    if not code:
        yield "code         the same"
    elif code["patch"] is None:
        yield f"code         another; no patch: {code['why']}"
    else:
        yield f"code         {', '.join(cast('list[str]', code['files']))}: below"


def _of_values(title: str, values: Mapping[str, list[object]]) -> Iterator[str]:
    yield title if values else f"{title:<12} the same"
    yield from (f"  {name:<28} {_text(one)} -> {_text(two)}" for name, (one, two) in values.items())


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _of_table(table: Mapping[str, object]) -> Iterator[str]:
    one, two = cast("list[int | None]", table["versions"])
    line = f"{table['table']:<28} {_version(one)} -> {_version(two)}"
    rows = cast("list[int] | None", table.get("rows"))
    yield f"{line}, {rows[0]:,} -> {rows[1]:,} rows" if rows else line
    columns = cast("Mapping[str, list[object]]", table.get("columns") or {})
    yield from (f"  column {name}: {before} -> {now}" for name, (before, now) in columns.items())


def _version(at: int | None) -> str:
    return "not read" if at is None else f"@{at}"


def _of_patch(code: Mapping[str, object] | None) -> Iterator[str]:
    patch = str((code or {}).get("patch") or "").splitlines()
    if patch:
        yield ""
        yield from islice(patch, _LONGEST)
    if len(patch) > _LONGEST:
        yield f"... {len(patch) - _LONGEST} more lines: --json has them all"
