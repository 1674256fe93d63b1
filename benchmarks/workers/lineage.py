"""Lineage of predictions in a project of some size, and the same by bare SQL over the same files; prints ms as JSON."""

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import polars as pl

from werk.app.wiring import PROJECTIONS
from werk.core.journal import NewFact
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.journal import open_journal
from werk.pipelines.lineage import lineage

STEPS = ("ingest", "check", "features", "split", "train", "evaluate", "register")
TEXTS = ("canonical_hash", "package_key", "manifest_sha256", "environment_sha256", "report_key", "report_sha256", "gate_sha256")


def training(at: int) -> list[NewFact]:
    """The facts of one training: a landed table, seven steps, a version, its alias."""
    run, digest = f"run_{at}", f"{at:064x}"
    source = {"name": f"flights_{at}.parquet", "sha256": digest}
    table = {"version": at, "zone": "raw", "rows": 10_000, "source": source, "contract_sha256": digest}
    registered = {
        **dict.fromkeys((*TEXTS, "plan_sha256", "assurance_needed", "trainer"), digest),
        "snapshots": [f"raw.flights@{at}"],
        "code": {"tree": digest[:40], "commit": digest[:40], "dirty": False},
    }
    return [
        NewFact("table.written", "raw.flights", table, run),
        *(
            NewFact("step.finished", run, {"step": name, "code_sha256": digest, "outputs": {}, "reads": [], "writes": []}, run)
            for name in STEPS
        ),
        NewFact("model.registered", "delay", {"model": "delay", "version": at + 1, **registered}, run),
        NewFact("alias.set", "delay", {"model": "delay", "alias": "champion", "version": at + 1}, run),
    ]


def predictions(at: int, rows: int) -> pl.DataFrame:
    ids = pl.Series([f"prd_{at}_{row}" for row in range(rows)])
    same = {"model": "delay", "version": at + 1, "canonical_hash": f"{at:064x}", "input_snapshot": f"raw.flights@{at}"}
    return pl.DataFrame({"prediction_id": ids, "score": [0.25] * rows}).with_columns(
        **{name: pl.lit(value, dtype=pl.Int64 if name == "version" else pl.String) for name, value in same.items()}
    )


def written(version: int, rows: int) -> dict[str, object]:
    return {"version": version, "zone": "product", "rows": rows, "source": {"name": "bench"}, "contract_sha256": None}


def bare(files: list[str], facts: sqlite3.Connection, id: str) -> list[object]:
    query = "select model, version, input_snapshot from read_parquet(?) where prediction_id = ? limit 1"
    model, version, scored = duckdb.execute(query, [files, id]).fetchone()
    query = "select run, canonical_hash, code, snapshots from p_versions where project = 'prj_1' and model = ? and version = ?"
    run, digest, code, trained = facts.execute(query, (model, version)).fetchone()
    query = "select step, code_sha256 from p_steps where project = 'prj_1' and run = ? order by seq"
    steps = facts.execute(query, (run,)).fetchall()
    query = """select source, contract_sha256 from p_table_versions where project = 'prj_1' and "table" = ? and version = ?"""
    origins = [facts.execute(query, text.split("@")).fetchone() for text in (*scored.split(), *json.loads(trained))]
    return [digest, code, steps, origins]


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def main(trainings: int, batches: int, rows: int, questions: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = build("table_store", "delta", {"path": root / "tables"})
        with open_journal(f"sqlite:///{root / 'j.db'}", project="prj_1", actor="act_1", projections=PROJECTIONS) as journal:
            for start in range(0, trainings, 100):
                journal.append([fact for at in range(start, min(trainings, start + 100)) for fact in training(at)])
            for at in range(batches):
                version = store.write("product.predictions", predictions(at, rows))
                journal.append([NewFact("table.written", "product.predictions", written(version, rows))])
            p = Platform(
                project=Project("prj_1", "bench", root),
                actor=Actor("act_1", "bench", "local"),
                stage="dev",
                journal=journal,
                table_store=store,
                object_store=None,
                key_store=None,
                identity=None,
                model_format={},
                meter=None,
            )
            print(json.dumps(asked(p, root, batches, rows, questions)))


def asked(p: Platform, root: Path, batches: int, rows: int, questions: int) -> dict[str, float]:
    files = [str(file) for file in (root / "tables").rglob("*.parquet")]
    facts = sqlite3.connect(root / "j.db")
    ids = [f"prd_{at * 7 % batches}_{at * 7919 % rows}" for at in range(questions + 1)]
    assert lineage(p, ids[0]).canonical_hash == bare(files, facts, ids[0])[0]
    pairs = [(timed(lambda: lineage(p, id)), timed(lambda: bare(files, facts, id))) for id in ids[1:]]  # noqa: B023
    middle = p.journal.head().seq // 2
    as_of = [timed(lambda: p.journal.at(middle).rows("aliases", {"model": "delay"})) for _ in range(5)]
    found = {"werk": [one for one, _ in pairs], "bare": [other for _, other in pairs], "as_of": as_of}
    return {name: statistics.median(values) for name, values in found.items()}


main(*map(int, sys.argv[1:]))
