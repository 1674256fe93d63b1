"""Fills a project's journal with runs, versions, approvals, deployments and verdicts, through the journal's own append."""

import sys
from pathlib import Path

from werk.app.wiring import opened
from werk.core.journal import NewFact

STEPS = ("ingest", "check", "features", "train", "evaluate", "register")
TEXTS = ("canonical_hash", "package_key", "manifest_sha256", "environment_sha256", "report_key", "report_sha256", "gate_sha256")
MONITORS = ("data quality", "feature drift", "prediction drift", "model quality", "bias")
# As long as those of a real run: the spec of seven steps, forty pinned tables, the code's tree and commit.
SPEC = {"nodes": [{"id": name, "fn": f"pipelines:{name}", "types": {"rows": "pl.DataFrame", "return": "int"}} for name in STEPS]}
PINS = {f"raw.table_{at}": at for at in range(40)}


def one_run(at: int) -> list[NewFact]:
    run, digest = f"run_{at:016x}", f"{at:064x}"
    code = {"tree": digest[:40], "commit": digest[:40], "dirty": False}
    started = {"pipeline": f"training_{at % 20}", "cause": None, "stage": "local", "params": {"rounds": at}, "spec": SPEC}
    usage = {"wall_s": 1.0, "cpu_s": 1.0, "peak_bytes": 1 << 30}
    step = {"code_sha256": digest, "outputs": [], "reads": ["raw.flights@3"], "writes": [], "attempt": 1, "usage": usage}
    return [
        NewFact("run.started", run, {**started, "pins": PINS, "code": code, "environment": {"sha256": digest}}, run),
        *(NewFact("step.finished", run, {"step": name, "cache_key": f"{name}{digest}", **step}, run) for name in STEPS),
        NewFact("run.finished", run, {}, run) if at % 50 else NewFact("run.failed", run, {"step": "train", "message": "no"}, run),
    ]


def one_version(at: int) -> list[NewFact]:
    """Every tenth run leaves a version; it is approved, deployed and checked in a window."""
    number, digest = at // 10 + 1, f"{at:064x}"
    of = {"model": "delay", "version": number}
    kept = dict.fromkeys((*TEXTS, "plan_sha256", "assurance_needed", "trainer"), digest)
    code = {"tree": digest[:40], "commit": digest[:40], "dirty": False}
    written = {"version": number, "zone": "product", "rows": 1000, "source": {"name": "bench"}, "contract_sha256": None}
    endpoint = {"endpoint": "delay", "cause": None, "canonical_hash": digest, "package_key": digest}
    said = {"window": f"2026-{number:05}", "verdict": "ok", "sentence": "As it was when it was accepted.", "report_key": None}
    return [
        NewFact(
            "model.registered", f"delay:{number}", {**of, **kept, "snapshots": ["raw.flights@3"], "code": code}, f"run_{at:016x}"
        ),
        NewFact("model.approved", f"delay:{number}", {**of, "comment": "read", "assurance": "local"}),
        NewFact("alias.set", "delay", {**of, "alias": "champion"}),
        NewFact("deployment.created", f"dep_{number:016x}", {**endpoint, **of}),
        NewFact("table.written", f"product.table_{number % 100}", written),
        *(NewFact("monitor.checked", f"delay:{number}", {**said, "monitor": name, "values": {}}) for name in MONITORS),
    ]


def main(root: Path, runs: int) -> None:
    with opened(root) as session:
        for start in range(0, runs, 200):
            facts = [one for at in range(start, min(runs, start + 200)) for one in one_run(at)]
            facts += [one for at in range(start, min(runs, start + 200), 10) for one in one_version(at)]
            session.p.journal.append(facts)


main(Path(sys.argv[1]), int(sys.argv[2]))
