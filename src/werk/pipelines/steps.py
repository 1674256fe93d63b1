"""The public `werk.steps`: the built-in steps of a training and of a batch inference pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk import data, governance, models, monitoring, registry
from werk.core.canonical import JSON, canonical_json, sha256_hex
from werk.core.errors import InputError, Refused
from werk.core.journal import NewFact, Row
from werk.core.nouns import ModelVersion, Snapshot, Usage, Verdict
from werk.core.platform import Platform
from werk.core.ports.model_format import Explains
from werk.models import Model, Report
from werk.models.metrics import metrics
from werk.models.task import MEASURE, numbered
from werk.monitoring import MonitorVerdict, Prices
from werk.monitoring.verdict import EXPLANATION_DRIFT, FEATURE_DRIFT, PREDICTION_DRIFT
from werk.pipelines import baselines, probe
from werk.pipelines.champion import check_pinned, pinned_champion
from werk.pipelines.deploy import put_live
from werk.pipelines.twin import twin
from werk.serving.deploy import SERVING
from werk.serving.facts import record_predictions
from werk.serving.score import batch_of, probability_columns, score
from werk.workflow import StepContext, step
from werk.workflow.project_files import digests

PREDICTIONS = data.PREDICTIONS
GOLDEN, BEHAVIOUR = "golden.toml", "behaviour.toml"


@step("model-evaluation", files=(GOLDEN, BEHAVIOUR))
def evaluate(
    model: Model,
    holdout: pl.DataFrame,
    slices: tuple[str, ...] = (),
    champion: str | None = None,
    *,
    p: Platform,
    context: StepContext,
) -> Report:
    """Metrics with intervals, slices, calibration, bias, golden points and behaviour tests on rows the model has not seen.

    - `holdout`: rows with the model's key, features and outcome; no outcome is null.
    - `slices`: columns; each of their values is a slice with metrics of its own.
    - `champion`: the version to compare with, None when there is none. Give it as a pipeline's parameter
      `champion: str | None = "NAME@champion"`: what that means is written down when the run starts.

    `golden.toml` and `behaviour.toml` are read from the project's folder when they are there; the report says which ones it was
    made from, by digest.
    """
    golden, behaviour = (context.root / name if context.files[name] else None for name in (GOLDEN, BEHAVIOUR))
    against = pinned_champion(p, champion, context.run, context.step) if champion else None
    told = models.evaluate(p, model, holdout, golden=golden, behaviour=behaviour, slices=slices, champion=against)
    return replace(told, files=context.files)


@step("register-model", cache=False, files=("plan.toml", "{gate}"))
def register(model: Model, report: Report, gate: str = "gate.toml", *, p: Platform, context: StepContext) -> ModelVersion:
    """Register the model if the gate lets it pass; its report is stored either way.

    `gate` is a file in the project's folder, `plan.toml` must lie beside it. The version is pending until somebody else
    approves it. The same learned state of the same code, parameters, tables and environment is one version, however often it is
    trained, as long as the gate and what it judges are the same: a changed `gate.toml`, or other golden points under a gate that
    asks for them, make another version; golden points or behaviour tests that the gate does not ask for make none. `Refused`
    (exit code 3) names the rule that failed (`gate-failed`), or the file that has changed since the report was made from it.
    """
    _check_made_from(report, context)
    name, stored, rules = p.project.name, report.to_json(), registry.Gate.load(context.root / gate)
    decision = registry.decide(rules, stored)
    text = canonical_json(stored)
    report_key = f"reports/{sha256_hex(text)}.json"
    p.object_store.put({report_key: text.encode()}, if_absent=True)
    identity = models.canonical_hash(p.model_format[model.format], model)
    registry.record_evaluation(p, name, report_key, sha256_hex(text), decision, identity, context.run)
    plan = governance.load_plan(context.root / "plan.toml")
    governance.record_plan(p, plan)
    snapshots = snapshots_of(p, context.run)
    made = {"snapshots": snapshots, "code": dict(context.code), "environment_sha256": _environment(context), "report": report_key}
    known = twin(p, name, identity, stored, rules, context.run) if decision.passed else None
    if known is not None:
        probe.record(p, known, model, context.run)
        return known
    if decision.passed and rules.champion and report.champion is None:
        check_pinned(p, context.run)
    if not decision.passed:
        package_key, manifest = "", ""
    else:
        packed = models.package(p, model, name=name, facts={**made, "run": context.run, "head": _head(p)})
        package_key, manifest = packed.key, packed.manifest_sha256
    version = registry.register(
        p,
        name,
        run=context.run,
        package_key=package_key,
        manifest_sha256=manifest,
        canonical_hash=identity,
        snapshots=snapshots,
        code=dict(context.code),
        environment_sha256=_environment(context),
        report_key=report_key,
        decision=decision,
        plan=plan,
    )
    probe.record(p, version, model, context.run)
    return version


@step("model-monitoring")
def monitor(
    version: ModelVersion,
    model: Model,
    fit: pl.DataFrame,
    holdout: pl.DataFrame,
    outcome: str = "positive",
    things: str = "rows",
    *,
    p: Platform,
    context: StepContext,
) -> dict[str, str]:
    """Keep what the monitors will compare with: the training rows' features, the hold-out's scores, outcomes, bias, attributions.

    - `fit`, `holdout`: rows with the model's key, features and outcome. Bias is watched by the first category, days by the
      first time in the key.
    - `outcome`, `things`: the words the monitors speak in: "late", "flights".

    The result names the baseline in the object store; an approved version keeps the one that it was approved with.
    """
    holdout = holdout.sort(model.key)  # so that sums over rows repeat to the last bit
    scores = models.predict(p, model, holdout)
    labels = numbered(holdout[model.target], model.kind, model.classes)
    accepted = monitoring.baseline(
        features=holdout.select(model.features),
        training=fit.select(model.features),
        columns=model.features,
        scores=scores,
        labels=labels,
        groups=_groups(model, holdout),
        blocks=_days(model, holdout),
        importance=_importance(p, model, holdout),
        outcome=outcome,
        things=things,
        task=model.kind,
        classes=model.classes,
    )
    return {"baseline": baselines.keep(p, version, accepted, context.run)}


@step("store-metadata", cache=False)
def store_metadata(
    version: ModelVersion, report: Report, *, p: Platform, context: StepContext, prices: Prices | None
) -> dict[str, str]:
    """Keep what `journal.metadata` says of this run's model, metrics and cost: no later price or report changes it."""
    run = p.journal.rows("runs", {"run": context.run})[0]
    steps = p.journal.rows("steps", {"run": context.run})
    body: dict[str, JSON] = {
        "pipeline": run["pipeline"],
        "model": version.model,
        "version": version.version,
        "canonical_hash": report.canonical_hash,
        "code_tree": context.code.get("tree"),
        "code_commit": context.code.get("commit"),
        "environment_sha256": _environment(context),
        "params": run["params"],
        "metrics": report.to_json()["metrics"],
        "snapshots": list(snapshots_of(p, context.run)),
        "usage": {**_total(steps)},
        "eur": prices.eur(Usage(peak_bytes=0, **_total(steps))) if prices else None,
    }
    p.journal.append([NewFact("metadata.stored", context.run, body, dedupe_key=f"metadata/{context.run}")])
    return {"run": context.run}


@step("batch-inference")
def batch_inference(rows: pl.DataFrame, model: str, window: str, *, p: Platform, context: StepContext) -> pl.DataFrame:
    """Score every row and add the predictions to `product.predictions`, once per version, window and input.

    - `rows`: the model's key and features, one row a key (`key-tie`).
    - `model`: `NAME:VERSION`, approved; give it as a pipeline's parameter `model: str = "NAME@champion"`.
    - `window`: what is scored, as the monitors and the story name it: "2013-07".

    Each row's id is its own: of the version, the window, all rows and its key, so that an exact repeat gives it again.

    Returns a row a prediction, sorted by the key: `prediction_id`, the key, `score` (for a binary model the probability of 1, for
    a regression the number; for a multiclass model that of the likeliest `class`, with `p_CLASS` for each of them),
    `model`, `version`, `canonical_hash`, `input_snapshot`, `window`, and `attributions` of 500 rows.
    """
    mv, made = ModelVersion.parse(model), _made_before(context, "rows")
    _check_approved(p, mv)
    loaded = load(p, mv)
    snapshots = " ".join(snapshots_of(p, context.run))
    once = batch_of(mv, window, made)
    scored = _scored(p, mv, loaded, rows, snapshots, once).with_columns(pl.lit(window).alias("window"))
    drift = _drift(p, mv, loaded, rows, scored, window)
    stored = scored.with_columns(pl.lit(context.run).alias("run"), pl.lit(drift).alias("drift"))
    notes = {"model": str(mv), "window": window}
    written = data.write(p, PREDICTIONS, stored, once=(once, 1), notes=notes, run=context.run)
    context.wrote(written)
    if _written_as(p, written, notes):
        record_predictions(p, written, mv, rows=len(scored), input_snapshot=snapshots, window=window)
    return scored


def _answers(model: Model, scored: pl.DataFrame) -> NDArray[np.float64]:
    """As the model gave them: a number a row, or a probability for each class."""
    return scored.select(probability_columns(model.classes)).to_numpy() if model.classes else scored["score"].to_numpy()


def _made_before(context: StepContext, name: str) -> str:
    """The digest of an input as the step before made it: without one, nothing would say which rows were scored."""
    if name not in context.inputs:
        raise InputError(
            f"'{name}' of batch-inference was made by no step of this run.",
            code="rows-unrecorded",
            hint="Make them in a step of their own and hand on what it returns, in a @pipeline function.",
        )
    return context.inputs[name]


def _drift(p: Platform, mv: ModelVersion, model: Model, rows: pl.DataFrame, scored: pl.DataFrame, window: str) -> Verdict:
    """What the window's rows and scores say before any outcome is known, for the rows to carry."""
    if baselines.key_of(p, mv) is None:
        return "not checked"
    accepted = baselines.baseline_of(p, mv)
    features = rows.sort(model.key).select(model.features)
    said = monitoring.check(accepted, window, features=features, scores=_answers(model, scored))
    found = {verdict.verdict for verdict in said if verdict.monitor in (FEATURE_DRIFT, PREDICTION_DRIFT)}
    return "violation" if "violation" in found else "cannot say" if "cannot say" in found else "ok"


@step("model-monitoring")
def check(
    scored: pl.DataFrame, rows: pl.DataFrame, model: str, window: str, *, p: Platform, context: StepContext
) -> list[dict[str, JSON]]:
    """Compare one window with what the version was accepted on: seven monitors, a sentence each; violations are facts.

    Takes what `batch_inference` took and returned. Where `rows` have the outcome, model quality and bias are judged too.
    Every verdict is a fact; a violation that costs something is `drift.detected` as well, which a trigger can answer.
    The answers themselves are the result, so that a later run which takes it from the cache can say them again.
    """
    mv = ModelVersion.parse(model)
    loaded = load(p, mv)
    accepted = baselines.baseline_of(p, mv)
    ordered = rows.sort(loaded.key)
    known = ordered[loaded.target] if loaded.target in ordered.columns else None
    labels = None if known is None else numbered(known, loaded.kind, loaded.classes)
    verdicts = monitoring.check(
        accepted,
        window,
        features=ordered.select(loaded.features),
        scores=_answers(loaded, scored),
        labels=labels,
        groups=_groups(loaded, ordered),
        blocks=_days(loaded, ordered),
        importance=_importance(p, loaded, ordered),
    )
    verdicts = [*_said(p, loaded, window, verdicts)]
    monitoring.record(p, mv, verdicts, context.run)
    return [{"model": model, **asdict(verdict)} for verdict in verdicts]


@step("model-evaluation")
def rung(
    model: Model, rows: pl.DataFrame, knows: str, place: int = 0, *, p: Platform, context: StepContext
) -> dict[str, float | None]:
    """Record the AUC of a model that may know only this much: the rungs of a ladder tell what each knowledge is worth.

    `knows` names the rung and `place` orders it; rows without an outcome are left out. Returns `auc`, `low` and `high`.
    """
    known = rows.drop_nulls(model.target).sort(model.key)
    if model.kind == "regression":
        hint = "Compare two registered versions instead: steps.compare."
        raise InputError("A ladder is measured in AUC, which a regression does not have.", code="ladder-no-auc", hint=hint)
    found = metrics(model.kind, models.predict(p, model, known), numbered(known[model.target], model.kind, model.classes))["auc"]
    said: dict[str, float | None] = {"auc": found.value, "low": found.low, "high": found.high}
    body: dict[str, JSON] = {"place": place, "knows": knows, "rows": len(known), **said}
    p.journal.append([NewFact("rung.measured", p.project.name, body, dedupe_key=f"rung/{context.run}/{context.step}")])
    return said


@step("deploy-model", cache=False)
def deploy(model: str, *, p: Platform, context: StepContext) -> dict[str, str]:
    """Make an approved version (`NAME:VERSION`) the champion and let the prediction server answer with it."""
    mv = ModelVersion.parse(model)
    return {"deployment": put_live(p, mv, context.root / SERVING, cause={"run": context.run})}


@step("compare-models")
def compare(rows: pl.DataFrame, a: str, b: str, window: str, *, p: Platform, context: StepContext) -> dict[str, float]:
    """Record the AUC of version `a` minus that of `b` on the same rows, with its 95 % interval (DeLong).

    Rows without an outcome are left out. Returns `difference`, `low`, `high`, `auc_a` and `auc_b`. Multiclass models are
    compared by their right answers (`accuracy_a`, `accuracy_b`), regressions by their mean error (`mae_a`, `mae_b`).
    """
    ours, theirs = load(p, ModelVersion.parse(a)), load(p, ModelVersion.parse(b))
    known = rows.drop_nulls(ours.target)
    said, measure = models.compare(p, ours, theirs, known), MEASURE[ours.kind]
    said |= {f"{measure}_{name}": _measured(p, model, known) for name, model in (("a", ours), ("b", theirs))}
    body: dict[str, JSON] = {"a": a, "b": b, "window": window, "rows": len(known), **said}
    p.journal.append([NewFact("models.compared", ModelVersion.parse(a).model, body, dedupe_key=f"compared/{context.run}")])
    return {name: float(cast("float", value)) for name, value in said.items()}


def _measured(p: Platform, model: Model, known: pl.DataFrame) -> float | None:
    labels = numbered(known[model.target], model.kind, model.classes)
    return metrics(model.kind, models.predict(p, model, known), labels)[MEASURE[model.kind]].value


def load(p: Platform, mv: ModelVersion) -> Model:
    """A registered version's model, its package verified."""
    row = registry.version_row(p, mv)
    return models.load_package(p, str(row["package_key"]))


def words(p: Platform) -> tuple[str, str]:
    """What the newest version's baseline calls its outcome and its rows: ("late", "flights")."""
    newest = p.journal.rows("versions", {"model": p.project.name}, order=("-version",), limit=1)
    for row in newest:
        mv = ModelVersion(p.project.name, cast("int", row["version"]))
        if baselines.key_of(p, mv) is None:
            continue  # its run has not come to its baselines yet
        accepted = baselines.baseline_of(p, mv)
        return accepted.outcome, accepted.things
    return "positive", "rows"


def snapshots_of(p: Platform, run: str) -> list[str]:
    """Every table version the run has read so far."""
    edges = p.journal.rows("edges", {"run": run, "direction": "read"})
    return sorted({str(edge["dataset"]) for edge in edges})


def sample(frame: pl.DataFrame, model: Model, size: int = 1000) -> pl.DataFrame:
    """A repeatable sample: the rows whose key hashes lowest, so that other rows never move it."""
    if len(frame) <= size:
        return frame.sort(model.key)
    order = np.argsort(np.array(probe.key_hashes(frame, model.key)))[:size]
    return frame[np.sort(order)].sort(model.key)


def _check_made_from(report: Report, context: StepContext) -> None:
    now = digests(context.root, report.files)
    for name, digest in report.files.items():
        if now[name] != digest:
            raise Refused(
                f"The report was made from another '{name}' than the project has now.",
                code="report-outdated",
                hint="Start a new run: it evaluates anew, and what has not changed comes from the cache.",
            )


def _check_approved(p: Platform, mv: ModelVersion) -> None:
    status = registry.registered(p.journal, mv).status
    if status != "approved":
        raise Refused(
            f"{mv} is {status}, and only an approved version writes into {PREDICTIONS}.",
            code="not-approved",
            hint=f"Let a second actor approve it, or ask without writing: werk predict {mv} TABLE.",
        )


def _explains(p: Platform, model: Model) -> bool:
    return isinstance(p.model_format[model.format], Explains)


def _importance(p: Platform, model: Model, rows: pl.DataFrame) -> dict[str, float]:
    """Of a repeatable sample of the rows; empty for a format that explains nothing."""
    return models.importance(models.explain(p, model, sample(rows, model)), model) if _explains(p, model) else {}


def _scored(p: Platform, mv: ModelVersion, model: Model, rows: pl.DataFrame, snapshots: str, batch: str) -> pl.DataFrame:
    """With the attributions of 500 rows; a format that explains nothing leaves them null, so that the table keeps its columns."""
    if _explains(p, model):
        return score(p, mv, model, rows, input_snapshot=snapshots, batch=batch, with_attributions=500)
    scored = score(p, mv, model, rows, input_snapshot=snapshots, batch=batch)
    return scored.with_columns(pl.lit(None, dtype=pl.List(pl.Float64)).alias("attributions"))


def _said(p: Platform, model: Model, window: str, verdicts: Iterable[MonitorVerdict]) -> Iterable[MonitorVerdict]:
    """Explanation drift is not checked where the format explains nothing: that no window will ever change."""
    why = f"{window}: not checked: the format '{model.format}' explains nothing"
    for verdict in verdicts:
        mute = verdict.monitor == EXPLANATION_DRIFT and not _explains(p, model)
        yield replace(verdict, verdict="not checked", sentence=why) if mute else verdict


def _groups(model: Model, frame: pl.DataFrame) -> pl.Series | None:
    """Bias is watched by the first category (for flights: the carrier)."""
    names = list(model.categories)
    return frame[names[0]] if names else None


def _written_as(p: Platform, written: Snapshot, notes: Mapping[str, str]) -> bool:
    """Whether this version holds these rows: written once before, the store names the version of whoever wrote last."""
    found = next(p.journal.facts(kinds=("table.written",), dedupe_key=f"table/{written}"), None)
    return found is not None and (found.body or {}).get("notes") == notes


def _days(model: Model, frame: pl.DataFrame) -> pl.Series | None:
    """The day of each row, by the first time in the model's key: rows of one day share what moves them all."""
    times = [name for name in model.key if isinstance(frame.schema[name], pl.Datetime | pl.Date)]
    return frame[times[0]].dt.date() if times else None


def spent(p: Platform, run: str) -> list[Usage]:
    """What each step of a run took, those from the cache where they were computed."""
    steps = p.journal.rows("steps", {"run": run}, order=("seq",))
    origins = (str(step["cached_from"] or f"{run}/{step['step']}").partition("/") for step in steps)
    rows = [row for home, _, name in origins for row in p.journal.rows("steps", {"run": home, "step": name})]
    return [Usage(**cast("dict[str, Any]", row["usage"])) for row in rows if row["usage"]]


def _environment(context: StepContext) -> str:
    return str(context.environment.get("sha256", ""))


def _head(p: Platform) -> dict[str, JSON]:
    head = p.journal.head()
    return {"seq": head.seq, "hash": head.hash}


def _total(steps: list[Row]) -> dict[str, float]:
    used = [cast("Mapping[str, float]", row["usage"]) for row in steps if row["usage"]]
    return {name: sum(usage[name] for usage in used) for name in ("cpu_s", "wall_s", "gb_s")}
