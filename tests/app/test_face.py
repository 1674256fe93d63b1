"""`werk.open()`: the answers of the commands as objects, in a process that loads nothing before it must, and in a kernel."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import polars as pl
import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from nbclient import NotebookClient

import werk
from werk.app.commands.projects import init
from werk.app.face import Project
from werk.app.face.frame import Frame
from werk.app.face.shown import Listing, Record
from werk.core.errors import InputError, Refused, StepFailed, Tampered

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
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose first model is trained, approved, and asked."""
    root = tmp_path_factory.mktemp("face")
    rows = pl.DataFrame({"pump": range(ROWS)}).with_columns(
        heat=(pl.col("pump") * 37 % 101) / 7,
        kind=pl.Series(["<b>new</b>", "old"] * (ROWS // 2)),
        failed=pl.Series([int(n * 37 % 101 > 60) ^ int(n % 17 == 0) for n in range(ROWS)]),
    )
    rows.write_csv(root / "pumps.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("WERK_HOME", str(root / "home"))
        for name in ("WERK_TOKEN", "WERK_PROFILE"):
            patch.delenv(name, raising=False)
        init(MODEL, None, root / "pumps.csv", "failed", ["pump"])
        (root / MODEL / "plan.toml").write_text(PLAN)
        yield root / MODEL


@pytest.fixture(scope="module")
def w(place: Path) -> Project:
    """The project after `werk ingest` and one training, started from here."""
    opened = werk.open(place)
    command(place, "ingest", TABLE, "../pumps.csv")
    opened.start("training")
    return opened


def command(root: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "werk.app.cli", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_opening_loads_no_dataframe_library(place: Path) -> None:
    script = "import sys, werk; werk.open(); print([n for n in ('polars', 'sqlalchemy', 'lightgbm') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=place / "contracts", capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_project_and_wrong_settings_are_said_when_opening(tmp_path: Path, place: Path) -> None:
    for path, profile, code in ((tmp_path, None, "project-missing"), (place, "teem", "profile-unknown")):
        with pytest.raises(InputError) as wrong:
            werk.open(path, profile=profile)
        assert wrong.value.code == code


@pytest.mark.parametrize("words", [("tables",), ("runs",), ("models",), ("monitor",)], ids=lambda words: words[0])
def test_what_is_listed_is_what_the_command_lists(w: Project, words: tuple[str, ...]) -> None:
    rows = getattr(w, words[0])()
    assert isinstance(rows, Listing)
    assert list(rows) == json.loads(command(w.root, *words, "--json"))
    assert f"{rows!r}\n" == command(w.root, *words)
    assert rows.to_pandas().to_dict("records") == rows.to_polars().to_dicts()
    assert rows.to_arrow().num_rows == len(rows)


def test_records_are_those_of_the_commands(w: Project) -> None:
    version = f"{MODEL}:1"
    for record, words in ((w.show(version), ("show", version)), (w.lineage(version), ("lineage", version))):
        assert isinstance(record, Record)
        assert json.loads(json.dumps(dict(record), default=str)) == json.loads(command(w.root, *words, "--json"))
        assert f"{record!r}\n" == command(w.root, *words)
        assert record._ipython_key_completions_() == list(record)


def test_a_table_at_its_version_and_as_it_stood(w: Project) -> None:
    table = w.table(TABLE)
    assert (table.version, len(table), table.columns) == (0, ROWS, ["pump", "heat", "kind", "failed"])
    assert table.to_polars().height == table.to_pandas().shape[0] == table.to_arrow().num_rows == ROWS
    assert table.head(3).to_polars().equals(table.to_polars().head(3))
    assert {check["rule"] for check in table.checks} >= {"unique(pump)", "not_null(pump)"}
    for given, code in (({"name": "raw.pump"}, "table-unknown"), ({"name": TABLE, "version": 7}, "version-unknown")):
        with pytest.raises(InputError) as wrong:
            w.table(**given)  # type: ignore[arg-type]
        assert wrong.value.code == code
    with pytest.raises(InputError, match=TABLE):
        w.table(TABLE, as_of="2020-01-01T00:00:00+00:00")


def test_sql_keeps_the_types_that_the_query_gives(w: Project) -> None:
    frame = w.sql(f"select kind, count(*) as n, avg(heat) as heat from {TABLE} group by kind order by kind").to_polars()
    assert frame.schema == {"kind": pl.String, "n": pl.Int64, "heat": pl.Float64}
    assert frame["n"].to_list() == [200, 200]


def test_a_step_shows_what_it_was_given_and_gave(w: Project) -> None:
    run = w.run(w.model(f"{MODEL}:1").run)
    assert run.status == "finished"
    first, *_, last = run.steps.values()
    assert (first.status, last.name) == ("finished", "store-metadata")
    model = run.step("training").output()
    given = run.step("training").inputs()
    rows = next(value for value in given.values() if isinstance(value, Frame))
    assert set(rows.columns) >= set(model.features)  # type: ignore[attr-defined]
    with pytest.raises(InputError) as wrong:
        run.step("trianing")
    assert "'training'" in wrong.value.message
    assert run.refresh().record == run.record


def test_a_changed_output_is_not_shown(w: Project) -> None:
    run = w.run(w.model(f"{MODEL}:1").run)
    step = run.step("data-load")
    path = w.root / ".werk" / "objects" / str(step.stored[0]["key"])
    kept = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(Tampered):
            step.output()
    finally:
        path.write_bytes(kept)


def test_a_model_answers_frames_of_any_library_alike(w: Project) -> None:
    model = w.model(f"{MODEL}:1")
    frame = w.table(TABLE).head(5)
    answers = [model.predict(rows).to_polars() for rows in (frame, frame.to_polars(), frame.to_pandas(), frame.to_arrow())]
    answers += [model.predict(frame.to_polars().to_dicts()).to_polars()]
    assert all(one.equals(answers[0]) for one in answers)
    assert answers[0]["score"].equals(model.predict(TABLE).to_polars().sort("pump").head(5)["score"])
    assert isinstance(model.predict(frame).to_pandas(), pd.DataFrame)
    for rows, code in ((frame.to_polars().drop("heat"), "feature-missing"), (7, "rows-kind"), ([], "rows-kind")):
        with pytest.raises(InputError) as wrong:
            model.predict(rows)
        assert wrong.value.code == code


def test_what_a_run_ends_with_is_raised(w: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """Of the gate, of a name that is none, and of the user's own code, with its traceback; the run can be resumed from here."""
    with pytest.raises(InputError) as wrong:
        w.start("trainig")
    assert wrong.value.code == "pipeline-unknown"
    with pytest.raises(InputError, match="'rows'"):
        w.start("training", rows=object())
    gate, pipelines = w.root / "gate.toml", w.root / "pipelines.py"
    kept = gate.read_text(), pipelines.read_text()
    try:
        gate.write_text(re.sub(r"min = [\d.]+", "min = 0.9999", kept[0]))
        with pytest.raises(Refused):
            w.start("training")
        gate.write_text(kept[0])
        pipelines.write_text(kept[1].replace("return ", "raise ArithmeticError('no such heat')\n    return ", 1))
        with pytest.raises(StepFailed) as failed:
            w.start("training")
        assert "ArithmeticError" in failed.value.user_traceback
        run = w.run(w.runs(1)[0]["run"])
        assert run.status == "failed"
        assert "no such heat" in "".join(step.logs() for step in run.steps.values())
        pipelines.write_text(kept[1])
        assert run.resume().status == "finished"
    finally:
        gate.write_text(kept[0])
        pipelines.write_text(kept[1])
    assert '{"error"' not in capfd.readouterr().out


def test_a_run_that_says_much_does_not_wait_for_ever(w: Project) -> None:
    """More than a pipe holds, on both streams, and bytes that are no text."""
    pipelines = w.root / "pipelines.py"
    kept = pipelines.read_text()
    step = '@step("talk", cache=False)\ndef talk(said: str) -> str:\n    print("x" * 200_000)\n'
    step = f"import os\n\n\n{step}    os.write(1, bytes([255, 10]))\n    return said\n"
    try:
        pipelines.write_text(f"{kept}\n\n{step}\n\n@pipeline\ndef talking(said: str):\n    talk(said)\n")
        assert w.start("talking", said="y" * 100_000).params == {"said": "y" * 100_000}
    finally:
        pipelines.write_text(kept)


def test_a_run_that_is_stopped_can_be_resumed(w: Project) -> None:
    """As by the stop button: the notebook's process alone gets the signal, the run's process is ended and waited for."""
    pipelines = w.root / "pipelines.py"
    kept = pipelines.read_text()
    step = '@step("wait", cache=False)\ndef wait(here: str) -> str:\n    (Path(here) / "begun").touch()\n'
    step += '    while not (Path(here) / "go").exists():\n        time.sleep(0.05)\n    return here\n'
    script = f"import werk; werk.open({str(w.root)!r}).start('waiting', here={str(w.root.parent)!r})"
    try:
        head = "import time\nfrom pathlib import Path\n"
        more = f"{step}\n\n@pipeline\ndef waiting(here: str):\n    wait(here)\n"
        pipelines.write_text(kept.replace("from __future__ import annotations\n", "") + f"\n\n{head}{more}")
        stopped = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 60
        while not (w.root.parent / "begun").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        stopped.send_signal(signal.SIGINT)
        assert stopped.wait(60) != 0
        run = w.run(w.runs(1)[0]["run"])
        (w.root.parent / "go").touch()
        assert run.resume().status == "finished"
    finally:
        pipelines.write_text(kept)


def test_what_a_notebook_shows_is_whole_and_lets_nothing_out(w: Project) -> None:
    run = w.run(w.model(f"{MODEL}:1").run)
    things = (w, w.tables(), w.table(TABLE), w.sql(f"select * from {TABLE}"), run, w.model(f"{MODEL}:1"), w.monitor(), w.status())
    for thing in things:
        drawn = thing._repr_html_()  # type: ignore[attr-defined]
        ElementTree.fromstring(f"<div>{drawn}</div>")
        assert "<b>new</b>" not in drawn
        assert "http" not in drawn.replace("http://www.w3.org", "")
        assert len(drawn) < 100_000


def test_in_a_kernel_whose_event_loop_runs(w: Project) -> None:
    """Cells as a user writes them; a run started there is the process's own, and its signs of life are printed."""
    cells = (
        "import werk\nw = werk.open()\nw",
        "run = w.start('training', fresh=True)\nrun",
        "w.model('pumps:1').predict(w.table('raw.pumps').head(2)).to_pandas()",
        "w.start('trainig')",
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.metadata["kernelspec"] = kernel
    client = NotebookClient(book, timeout=120, allow_errors=True, resources={"metadata": {"path": str(w.root)}})
    client.create_kernel_manager()
    assert client.km is not None
    client.km.kernel_spec.argv[0] = sys.executable  # this environment's, whatever kernels are installed
    client.execute(env={**os.environ})
    outputs = [[out for out in cell.outputs if out.output_type != "stream"] for cell in book.cells]
    assert "project pumps" in outputs[0][0].data["text/html"]
    assert "training" in outputs[1][0].data["text/html"]
    assert "finished" in "".join(out.text for out in book.cells[1].outputs if out.output_type == "stream")
    assert "score" in outputs[2][0].data["text/plain"]
    assert (outputs[3][0].ename, "training" in outputs[3][0].evalue) == ("InputError", True)


def test_tab_completes_what_there_is_and_the_brackets_open_it(w: Project) -> None:
    typed = f'w["{TABLE[:-2]}'
    with provisionalcompleter():
        found = IPCompleter(namespace={"w": w}, use_jedi=False).completions(typed, len(typed))
        assert TABLE in [one.text.strip('"]') for one in found]
    names = w._ipython_key_completions_()
    run = w.model(f"{MODEL}:1").run
    assert {TABLE, f"{MODEL}:1", run} <= set(names)
    opened = [type(w[name]).__name__ for name in (TABLE, f"{TABLE}@0", run, f"{MODEL}:1")]
    assert opened == ["Table", "Table", "Run", "Model"]
    with pytest.raises(InputError) as wrong:
        w["raw.nothing"]
    assert wrong.value.code == "table-unknown"


def test_tab_raises_nothing_where_the_project_has_gone(tmp_path: Path) -> None:
    assert Project(tmp_path / "gone")._ipython_key_completions_() == []
