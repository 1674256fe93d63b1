"""A step is added, replaced or removed by at most five lines, and what is trained and scored afterwards is traced as before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT, blocks_of
from doc_shell import Shell

DIFFS = [block.text for block in blocks_of(ROOT / "docs" / "ml_engineer.md") if block.language == "diff"]
TABLES = ["raw.flights@0", "raw.planes@0", "raw.weather@0"]
TRAINED = [
    "data-load",
    "feature-engineering",
    "training",
    "model-evaluation",
    "register-model",
    "model-monitoring",
    "store-metadata",
]


def changed(diff: str) -> list[str]:
    """The lines that come or go, empty ones left out."""
    return [line for line in diff.splitlines() if re.match(r"[+-](?![+-]{2} )\s*\S", line)]


def answer(shell: Shell, words: str) -> Any:
    said = shell.run(f"werk {words} --json")
    return json.loads(said[min(at for at in (said.find("{\n"), said.find("[\n")) if at >= 0) :])


@pytest.mark.parametrize("diff", DIFFS, ids=["add", "replace", "remove"])
def test_a_step_is_changed_by_at_most_five_lines(diff: str) -> None:
    assert 1 <= len(changed(diff)) <= 5


def test_lines_are_counted() -> None:
    assert changed("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+\n c\n") == ["-a", "+b"]


def test_after_each_change_the_lineage_is_whole(unapproved: Path, opened: Callable[[Path], Shell]) -> None:
    shell = opened(unapproved)
    add, replace, remove = DIFFS
    apply(shell, add)
    assert traced(shell, 2, rounds=40) == [*TRAINED[:2], "long-haul", *TRAINED[2:]]
    apply(shell, remove)
    assert traced(shell, 3, rounds=41) == [*TRAINED[:2], "long-haul", *TRAINED[2:-1]]
    apply(shell, replace)
    token = answer(shell, "actor add second")["token"]
    shell.run(f"WERK_TOKEN={token} werk approve my-case:3")
    run = answer(shell, "run batch_inference -p window=2013-07 -p model=my-case:3")
    assert [step["step"] for step in run["steps"]][-1] == "alarms"
    found = answer(shell, 'sql "select min(prediction_id) as id from product.predictions"')
    lineage = answer(shell, f"lineage {found[0]['id']}")
    assert lineage["model"] == "my-case:3"
    assert [origin["snapshot"] for origin in lineage["inputs"]] == TABLES
    assert answer(shell, "audit verify")["ok"]


def apply(shell: Shell, diff: str) -> None:
    (shell.folder.parent / "change.diff").write_text(diff, encoding="utf-8")
    shell.run("git apply --recount ../change.diff")


def traced(shell: Shell, version: int, rounds: int) -> list[str]:
    """The steps that the lineage of the version just trained names; its tables and files are all there."""
    shell.run(f"werk run training -p params.rounds={rounds}")
    lineage = answer(shell, f"lineage my-case:{version}")
    assert [origin["snapshot"] for origin in lineage["snapshots"]] == TABLES
    assert all(origin["source_sha256"] for origin in lineage["snapshots"])
    assert len(set(lineage["steps"].values())) == len(lineage["steps"])
    return list(lineage["steps"])
