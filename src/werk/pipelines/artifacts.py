"""What any artefact came from and what came from it: files, table versions, runs, models, deployments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, cast

from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError, unknown
from werk.core.journal import Reader, Row
from werk.core.nouns import ModelVersion, Snapshot

COMPARED = "compared with in"
EVALUATION = "werk.pipelines.steps:evaluate"
Kind = Literal["file", "table", "run", "model", "deployment"]


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`source` came first; `how` reads from it to `target`: "raw.flights@0 read by run_..."."""

    source: str
    how: str
    target: str


@dataclass(frozen=True, slots=True)
class Ancestry:
    """All edges that lead to an artefact and all that lead away from it, nearest first."""

    id: str
    kind: Kind
    producers: tuple[Edge, ...]
    consumers: tuple[Edge, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def ancestry(journal: Reader, id: str) -> Ancestry:
    """`InputError` for an id nobody knows; `Failed` when something it came from is not in the journal."""
    _check_known(journal, id)
    return Ancestry(id, kind_of(id), _walk(journal, id, _before, _source), _walk(journal, id, _after, _target))


def came_of(journal: Reader, prediction: Mapping[str, JSON]) -> tuple[Edge, ...]:
    """The table version that a batch prediction was written into; a served one stands in the log alone."""
    if "run" not in prediction:
        return ()
    where = {"model_version": prediction["version"], **{name: prediction[name] for name in ("run", "model", "window")}}
    rows = journal.rows("predictions_written", where)
    return tuple(Edge(str(prediction["prediction_id"]), "written into", f"{row['table']}@{row['version']}") for row in rows)


def kind_of(id: str) -> Kind:
    """By its form; what has none of them is a file."""
    if id.startswith(("run_", "dep_")):
        return "run" if id.startswith("run_") else "deployment"
    if "@" in id and id.rpartition("@")[2].isdigit():
        return "table"
    return "model" if id.rpartition(":")[2].isdigit() and not id.startswith("file ") else "file"


def _source(edge: Edge) -> str:
    return edge.source


def _target(edge: Edge) -> str:
    return edge.target


_Step = Callable[[Reader, Sequence[str]], Iterable[Edge]]


def _walk(journal: Reader, start: str, step: _Step, onward: Callable[[Edge], str]) -> tuple[Edge, ...]:
    """Level by level, so that a table with a thousand readers is a few questions and not a thousand.

    What a model was only compared with is told and not followed: nothing of it went into what the run made.
    """
    seen, level, found = {start}, [start], dict[Edge, None]()
    while level:
        edges = sorted(set(step(journal, level)))
        found.update(dict.fromkeys(edges))
        level = sorted({onward(edge) for edge in edges if edge.how != COMPARED} - seen)
        seen.update(level)
    return tuple(found)


def _of(ids: Sequence[str], kind: Kind) -> list[str]:
    return [id for id in ids if kind_of(id) == kind]


# --- upstream ---


def _before(journal: Reader, ids: Sequence[str]) -> Iterable[Edge]:
    yield from _before_tables(journal, _of(ids, "table"))
    yield from _before_runs(journal, _of(ids, "run"))
    for model, row in _versions(journal, _of(ids, "model")):
        yield Edge(_known(row, model, "run"), "registered", model)
    deployed = _of(ids, "deployment")
    for row in journal.rows("deployments", {"deployment": deployed}) if deployed else ():
        yield Edge(f"{row['model']}:{row['version']}", "deployed as", str(row["deployment"]))


def _before_tables(journal: Reader, ids: Sequence[str]) -> Iterable[Edge]:
    rows = _table_rows(journal, ids)
    for id in ids:
        row = rows.get(id)
        if row is None:
            raise _broken(f"the table version {id}")
        yield from _origin(id, row)


def _table_rows(journal: Reader, ids: Sequence[str]) -> dict[str, Row]:
    """By snapshot; a quarantine is described by the landing that filled it."""
    names = sorted({Snapshot.parse(id).table for id in ids})
    landed = [name.removesuffix("_quarantine") for name in names]
    rows = journal.rows("table_versions", {"table": sorted({*names, *landed})}) if names else []
    held = {str(row["quarantine"]): row for row in rows if row["quarantine"]}
    return held | {f"{row['table']}@{row['version']}": row for row in rows}


def _origin(id: str, row: Row) -> Iterable[Edge]:
    if row["run"]:
        yield Edge(str(row["run"]), "wrote", id)
        return
    source = cast("dict[str, str]", row["source"])
    how = "set aside in" if row["quarantine"] == id else "landed as"
    yield Edge(f"file {source['name']} sha256 {source.get('sha256', '')[:12]}", how, id)


def _before_runs(journal: Reader, ids: Sequence[str]) -> Iterable[Edge]:
    if not ids:
        return
    runs = {str(row["run"]): row for row in journal.rows("runs", {"run": list(ids)})}
    for id in ids:
        if id not in runs:
            raise _broken(f"the run {id}")
        for model in _named(journal, runs[id]["params"]):
            yield Edge(model, _how(runs[id], model), id)
    for edge in journal.rows("edges", {"run": list(ids), "direction": "read"}):
        yield Edge(str(edge["dataset"]), "read by", str(edge["run"]))
    for step in journal.rows("steps", {"run": list(ids)}):
        for name, digest in cast("dict[str, str | None]", step["files"] or {}).items():
            if digest is not None:
                yield Edge(f"file {name} sha256 {digest[:12]}", "read by", str(step["run"]))


def _named(journal: Reader, params: JSON) -> list[str]:
    """Model versions among a run's parameters: what it scored with, deployed or compared."""
    values = params.values() if isinstance(params, dict) else ()
    texts = [value for value in values if isinstance(value, str) and ":" in value and kind_of(value) == "model"]
    return [model for model, _ in _versions(journal, texts, missing_is_broken=False)]


# --- downstream ---


def _after(journal: Reader, ids: Sequence[str]) -> Iterable[Edge]:
    tables, runs, models = _of(ids, "table"), _of(ids, "run"), _of(ids, "model")
    for edge in journal.rows("edges", {"dataset": tables, "direction": "read"}) if tables else ():
        yield Edge(str(edge["dataset"]), "read by", str(edge["run"]))
    if runs:
        for row in journal.rows("table_versions", {"run": runs}):
            yield Edge(str(row["run"]), "wrote", f"{row['table']}@{row['version']}")
        for row in journal.rows("versions", {"run": runs}):
            yield Edge(str(row["run"]), "registered", f"{row['model']}:{row['version']}")
    if models:
        yield from _after_models(journal, models)


def _after_models(journal: Reader, ids: Sequence[str]) -> Iterable[Edge]:
    wanted = set(ids)
    names = sorted({ModelVersion.parse(id).model for id in ids})
    for row in journal.rows("deployments", {"model": names}):
        if f"{row['model']}:{row['version']}" in wanted:
            yield Edge(f"{row['model']}:{row['version']}", "deployed as", str(row["deployment"]))
    for row in journal.rows("runs"):
        values = row["params"].values() if isinstance(row["params"], dict) else ()
        for model in wanted.intersection(value for value in values if isinstance(value, str)):
            yield Edge(model, _how(row, model), str(row["run"]))


def _how(run: Row, model: str) -> str:
    """A version that the run's spec gives to nothing but the evaluation, as its champion, is one that was compared with."""
    spec, params = (cast("Mapping[str, JSON]", run[name] or {}) for name in ("spec", "params"))
    nodes = cast("Sequence[Mapping[str, JSON]]", spec.get("nodes") or ())
    given: list[JSON] = [{"param": name} for name, value in params.items() if value == model]
    taken = [cast("Mapping[str, JSON]", node["inputs"]).get("champion") for node in nodes if node["fn"] == EVALUATION]
    compared = sum(value in given for value in taken)
    return COMPARED if compared and compared == _times(list(nodes), given) else "used by"


def _times(inside: JSON, given: Sequence[JSON]) -> int:
    """How often one of these stands anywhere in it."""
    if inside in given:
        return 1
    parts = inside.values() if isinstance(inside, dict) else inside if isinstance(inside, list) else ()
    return sum(_times(part, given) for part in parts)


# --- what is known ---


def _versions(journal: Reader, ids: Sequence[str], *, missing_is_broken: bool = True) -> list[tuple[str, Row]]:
    parsed = [ModelVersion.parse(id) for id in ids]
    rows = journal.rows("versions", {"model": sorted({mv.model for mv in parsed})}) if parsed else []
    by = {(row["model"], row["version"]): row for row in rows}
    lost = [mv for mv in parsed if (mv.model, mv.version) not in by]
    if lost and missing_is_broken:
        raise _broken(f"the model version {lost[0]}")
    return [(str(mv), by[mv.model, mv.version]) for mv in parsed if mv not in lost]


def _known(row: Row, of: str, name: str) -> str:
    if not row[name]:
        raise _broken(f"the {name} of {of}")
    return str(row[name])


def _check_known(journal: Reader, id: str) -> None:
    match kind_of(id):
        case "table":
            if id not in _table_rows(journal, [id]):
                known = journal.rows("table_versions", order=("table", "-version"))
                raise unknown("table version", id, [f"{r['table']}@{r['version']}" for r in known], code="version-unknown")
        case "run" | "deployment" as kind:
            if not journal.rows(f"{kind}s", {kind: id}):
                newest = journal.rows(f"{kind}s", order=("-seq",), limit=8)
                raise unknown(kind, id, [str(row[kind]) for row in newest], code=f"{kind}-unknown")
        case "model":
            mv = ModelVersion.parse(id)
            if not journal.rows("versions", {"model": mv.model, "version": mv.version}):
                known = journal.rows("versions", order=("model", "-version"))
                raise unknown("model version", id, [f"{r['model']}:{r['version']}" for r in known], code="version-unknown")
        case "file":
            raise InputError(
                f"'{id}' is no id of anything recorded.",
                code="id-unknown",
                hint="Name a prediction, run, deployment, model:version or table@version.",
            )


def _broken(what: str) -> Failed:
    return Failed(f"The lineage is broken: {what} is not in the journal.", code="lineage-broken", hint="Run `werk audit verify`.")
