"""Pipelines that stand in the cells of a notebook: run in a process of their own, kept with it, rebuilt without the notebook."""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

import werk
from werk.app.commands.projects import init
from werk.app.commands.tables import ingest
from werk.app.face import Project

ROWS = 400
TABLE, MODEL = "raw.pumps", "pumps"
PLAN = """
goal = "Find pumps before they fail."
owner = "maintenance"
risk_class = "limited"
success_metric = "auc above 0.8"
affected_people = "nobody"
"""


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of one's own data, whose only table has landed."""
    root = tmp_path_factory.mktemp("cells")
    rows = pl.DataFrame({"pump": range(ROWS)}).with_columns(
        heat=(pl.col("pump") * 37 % 101) / 7,
        failed=pl.Series([int(n * 37 % 101 > 60) ^ int(n % 17 == 0) for n in range(ROWS)]),
    )
    rows.write_csv(root / "pumps.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("WERK_HOME", str(root / "home"))
        for name in ("WERK_TOKEN", "WERK_PROFILE", "JPY_SESSION_NAME"):
            patch.delenv(name, raising=False)
        init(MODEL, None, root / "pumps.csv", "failed", ["pump"])
        (root / MODEL / "plan.toml").write_text(PLAN)
        opened = werk.open(root / MODEL)
        ingest(TABLE, root / "pumps.csv", root / MODEL, None)
        yield opened


class Kernel:
    """A real kernel with its event loop: a cell in, what it shows out."""

    def __init__(self, root: Path, notebook: str) -> None:
        self._manager = KernelManager()
        assert self._manager.kernel_spec is not None
        self._manager.kernel_spec.argv[0] = sys.executable
        env = {**os.environ, "JPY_SESSION_NAME": str(root / notebook)}
        self._manager.start_kernel(cwd=str(root), env=env)
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def __call__(self, cell: str) -> str:
        """The text that the cell prints and gives; an error is raised as `RuntimeError` with its name and words."""
        asked, said, wrong = self._client.execute(cell, stop_on_error=False), "", ""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                got = self._client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if got["parent_header"].get("msg_id") != asked:
                continue
            kind, content = got["msg_type"], got["content"]
            if kind == "error":
                wrong = "\n".join([f"{content['ename']}: {content['evalue']}", *content["traceback"]])
            if kind in ("stream", "execute_result"):
                said += content["text"] if kind == "stream" else content["data"]["text/plain"]
            if kind == "status" and content["execution_state"] == "idle":
                if wrong:
                    raise RuntimeError(wrong)
                return said
        raise TimeoutError(cell)

    def complete(self, text: str) -> list[str]:
        answer = self._client.complete(text, reply=True, timeout=30)
        return list(answer["content"]["matches"])

    def end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel(w: Project) -> Iterator[Kernel]:
    started = Kernel(w.root, "explore.ipynb")
    try:
        started("import werk\nw = werk.open()")
        yield started
    finally:
        started.end()


STEPS = '''
@step("data-load")
def load(table: str, *, tables) -> pl.DataFrame:
    return tables.scan(table).collect()

@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    """Of the rows that the lot left out of the holdout."""
    return fit_lightgbm(rows, target=TARGET, key=KEY, features=("heat",), rounds=params.rounds)
'''
PIPELINE = """
@pipeline
def fitting(params: Params = Params(), champion: str | None = "pumps@champion"):
    fit, held_out = split(load("raw.pumps"))
    model = train(fit, params)
    report = steps.evaluate(model, held_out, champion=champion)
    version = steps.register(model, report, gate="gate.toml")
    steps.store_metadata(version, report)
"""


def test_a_model_of_cells_run_out_of_order_is_rebuilt_without_the_notebook(w: Project, kernel: Kernel) -> None:
    """Cells in which a step, what it calls, and what that reads stand below it, with magics and an await between them."""
    kernel("from dataclasses import dataclass\nimport polars as pl\nfrom werk import Model, fit_lightgbm, pipeline, step, steps")
    kernel("%%time\n@dataclass(frozen=True)\nclass Params:\n    rounds: int = 20")
    kernel(STEPS)
    kernel("!echo shell; %pwd")
    kernel(
        '@step("feature-engineering")\ndef split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:\n'
        "    return rows.filter(~held(pl.col('pump'))), rows.filter(held(pl.col('pump')))"
    )
    kernel("import asyncio\nawait asyncio.sleep(0)\nPART = 9\nTARGET, KEY = 'failed', ['pump']")
    kernel("def held(pump):\n    return pump % PART < SHARE")
    kernel("SHARE = await asyncio.sleep(0, 3)\nPART += 1")
    with pytest.raises(RuntimeError, match="SyntaxError"):
        kernel("def held(:")
    kernel(PIPELINE)
    said = kernel("run = w.start(fitting)\nprint(run.status, run.pipeline)")
    assert "finished explore:fitting" in said
    text = (w.root / "notebook_cells" / "explore.py").read_text()
    assert "PART = 10" in text
    assert "SHARE = 3" in text
    assert "asyncio" not in text
    version = w.models()[0]
    run = w.run(w.model(f"{MODEL}:{version['version']}").run)
    assert "await asyncio.sleep(0)" in "".join(run.cells())
    assert run.cells()[-1].startswith("run = w.start(fitting)")
    for made in (w.root / "notebook_cells").glob("explore.*"):
        made.unlink()
    answer = w.ask("rebuild.rebuild", version=f"{MODEL}:{version['version']}", verify=False)
    assert answer.record is not None
    assert (answer.record["outcome"], answer.record["causes"]) == ("identical", ())


TINY = """
@step("double")
def double(value: int) -> int:
    return {body}

@step("say")
def say(value: int) -> str:
    return f"{{value}}"

@pipeline
def tiny(value: int = 1):
    say(double(value))
"""


def test_a_cell_that_is_edited_has_another_code_hash_and_what_did_not_change_is_kept(w: Project, kernel: Kernel) -> None:
    kernel("from werk import pipeline, step")
    kernel(TINY.format(body="2 * value"))
    kernel("run = w.start(tiny)")
    assert kernel("[step.status for step in run.steps.values()], run.step('say').output()") == "(['finished', 'finished'], '2')"
    kernel("again = w.start(tiny)")
    assert kernel("[step.status for step in again.steps.values()]") == "['cached', 'cached']"
    kernel("def twice(value):\n    return 2 * value")
    kernel(TINY.format(body="twice(value)"))
    kernel("edited = w.start(tiny)")
    assert kernel("[step.status for step in edited.steps.values()]") == "['finished', 'cached']"
    hashes = "[one.step(name)._record['code_sha256'] for name in ('double', 'say') for one in (run, edited)]"
    double, doubled, say, said = eval(kernel(hashes))
    assert double != doubled
    assert say == said


@pytest.mark.parametrize(
    ("made", "body", "code", "named"),
    [
        ("import polars as pl\nframe = pl.DataFrame({'a': [1]})", "frame.height", "cells-unkept", "'frame', a polars DataFrame"),
        ("del_me = 1\ndel del_me", "del_me", "cells-missing", "'del_me'"),
        ("import threading\nlock = threading.Lock()", "id(lock)", "cells-unkept", "'lock', a _thread lock"),
        ("w", "len(w.runs())", "cells-unkept", "'w', a werk Project"),
        ("lines = !echo 1", "int(lines[0])", "cells-missing", "'lines', made by a %magic or !shell line"),
        ("1", "0\n    %pwd", "cells-missing", "a %magic or !shell line"),
        ("from types import SimpleNamespace\nconf = SimpleNamespace(a=1)\nconf.a = 2", "conf.a", "cells-stale", "'conf'"),
        (
            "def make(n):\n    return lambda value: value * n\nn = 2\ntimes = make(n)\nn = 3",
            "times(value)",
            "cells-stale",
            "'times'",
        ),
        ("rows = list(range(10_000))", "sum(rows)", "cells-unkept", "'rows', a list"),
    ],
    ids=lambda part: part if isinstance(part, str) and "cells-" not in part and "\n" not in part else None,
)
def test_what_a_run_of_its_own_would_not_find_is_refused_by_name(
    kernel: Kernel, made: str, body: str, code: str, named: str
) -> None:
    kernel("from werk import pipeline, step")
    kernel(made)
    kernel(TINY.format(body="0").replace("return 0", f"value = {body}\n    return value"))
    with pytest.raises(RuntimeError) as wrong:
        kernel(
            "try:\n    w.start(tiny)\nexcept werk.core.errors.InputError as e:\n    raise RuntimeError(f'{e.code}: {e.message}')"
        )
    assert code in str(wrong.value)
    assert named in str(wrong.value)
