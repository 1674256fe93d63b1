"""`werk init --from`: a project for whatever file one has; what cannot be a key, an outcome or a feature is said."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl
import pytest

from werk.app.commands.predict import numbers
from werk.app.commands.projects import init
from werk.app.own.columns import Columns, columns_of
from werk.app.own.files import as_code
from werk.core.errors import InputError, WerkError
from werk.data import load_contract, read_file
from werk.data.contracts import conform
from werk.governance import load_plan
from werk.models import Model
from werk.models.behaviour import Direction, load_behaviour
from werk.registry import Gate

ROWS = 60
BASE = {"id": list(range(ROWS)), "hot": [at % 2 for at in range(ROWS)], "size": [at / 7 for at in range(ROWS)]}
# Names as they stand in real files: units, quotes, languages, a line break, a backslash, what Python keeps for itself.
ODD = (
    "Air temperature [K]",
    'the "good" one',
    "it's",
    "Länge (µm)",
    "two\nlines",
    "back\\slash",
    "class",
    "{braces}",
    "# note",
    "  ",
)


def written(path: Path, columns: dict[str, object]) -> Path:
    pl.DataFrame({**BASE, **columns}).write_parquet(path)
    return path


def code(found: Columns) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(as_code(found), names)
    return names


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)

    def make(columns: dict[str, object]) -> Path:
        init("mine", None, written(tmp_path / "rows.parquet", columns), "hot", ["id"])
        return tmp_path / "mine"

    return make


def test_odd_names_come_through_python_and_yaml_as_they_are(made: Callable[..., Path]) -> None:
    project = made(dict.fromkeys(ODD, BASE["size"]))
    contract = load_contract(project / "contracts" / "raw.rows.yaml")
    assert set(contract.columns) == {"id", "hot", "size", *ODD}
    process = [sys.executable, "-c", "import pipelines; print(pipelines.FEATURES == ('size', *eval(input())))"]
    said = subprocess.run(process, cwd=project, input=repr(ODD), capture_output=True, text=True, check=True).stdout
    assert said == "True\n"


def test_the_ranges_seen_are_put_to_be_judged_and_are_no_rules(made: Callable[..., Path]) -> None:
    file = made({"hot\a air\n[K]": [300.5, float("nan"), float("inf"), None, 300.5] * 12}) / "contracts" / "raw.rows.yaml"
    assert "#   hot air [K]: 300.5 to 300.5\n" in file.read_text(encoding="utf-8")
    rules = {rule.name: rule.severity for rule in load_contract(file).rules}
    assert rules == {
        "unique(id)": "required",
        "not_null(id)": "required",
        "range(hot)": "required",
        "finite(size)": "warning",
        "finite(hot\a air\n[K])": "warning",
    }


def test_the_tests_it_comes_with_hold(made: Callable[..., Path]) -> None:
    project = made({"kind": ["a", "b", "c"] * 20})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout


def test_an_outcome_among_the_features_fails_them(made: Callable[..., Path]) -> None:
    project = made({})
    pipelines = project / "pipelines.py"
    pipelines.write_text(pipelines.read_text().replace('FEATURES = ("size",)', 'FEATURES = ("size", "hot")'))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "test_neither_outcome_nor_key_is_a_feature" in done.stdout


def test_what_teaches_nothing_is_left_out_and_named(tmp_path: Path) -> None:
    more = {
        "serial": [f"s{at}" for at in range(ROWS)],
        "always": [1] * ROWS,
        "nothing": pl.Series([None] * ROWS, dtype=pl.Float64),
        "day": [date(2026, 1, 1)] * ROWS,
        "parts": [[1, 2]] * ROWS,
        "kind": ["a", None, None] * 20,
        "flag": [True, False, False] * 20,
    }
    frame = pl.concat([pl.DataFrame({**BASE, **more})] * 2).with_columns(id=pl.int_range(pl.len()))
    frame = frame.with_columns(serial=pl.format("s{}", "id"))
    frame.write_parquet(tmp_path / "rows.parquet")
    found = columns_of(tmp_path / "rows.parquet", "hot", ["id"])
    assert (found.features, found.categories) == (("size", "kind", "flag"), ("kind", "flag"))
    left_out = ("serial (text of 120 values)", "always (always the same)", "nothing (always the same)")
    assert found.left_out == (*left_out, "day (a date)", "parts (a list)")
    assert code(found)["CATEGORIES"] == ("kind", "flag")


def test_a_number_that_one_cell_made_a_text_is_told_of_with_that_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = range(200)
    torque = ["abc" if at == 16 else None if at == 3 else str(40 + at / 7) for at in rows]
    wear = ["NA" if at % 3 == 1 else str(at) for at in rows]
    words = ["x" for _ in rows]
    speed = ["n/a" if at in (4, 9) else str(at % 9) for at in rows]
    serial = [f"s{at}" if at % 8 == 0 else str(at) for at in rows]
    frame = pl.DataFrame({"id": rows, "hot": [at % 2 for at in rows], "size": rows})
    texts = {"torque": torque, "wear": wear, "speed": speed, "serial": serial, "words": words}
    frame.with_columns(**{name: pl.Series(cells) for name, cells in texts.items()}).write_csv("rows.csv")
    found = columns_of(Path("rows.csv"), "hot", ["id"])
    first = ("torque (row 17 has 'abc')", "wear (row 2 has 'NA', the first of 67 such)")
    assert found.nearly == (*first, "speed (row 5 has 'n/a', the first of 2 such)")
    said = init("mine", None, Path("rows.csv"), "hot", ["id"]).text
    assert f"look at {', '.join(found.nearly)}: text because of such cells" in said


def test_a_csv_to_be_scored_has_numbers_where_the_model_takes_them() -> None:
    model = Model(None, "toy", ("size", "wear", "kind"), {"kind": ("1", "b")}, "hot", "binary", ("id",))
    texts = pl.DataFrame({"id": ["a", "b"], "size": [1, 2], "wear": pl.Series([None] * 2, dtype=pl.String), "kind": ["1", "b"]})
    told = numbers(model, texts)
    assert told.schema == {"id": pl.String, "size": pl.Int64, "wear": pl.Null, "kind": pl.String}
    with pytest.raises(InputError, match=r"Column 'wear' is text, not a number: row 2 has 'abc'\."):
        numbers(model, texts.with_columns(wear=pl.Series(["1.5", "abc"])))


@pytest.mark.parametrize(
    ("columns", "target", "key", "wrong", "says"),
    [
        ({}, None, ["id"], "target-unnamed", "It could be: hot."),
        ({}, "hott", ["id"], "column-unknown", "Did you mean 'hot'?"),
        ({"one": [1] * ROWS}, "one", ["id"], "target-constant", "always 1"),
        ({"none": [None] * ROWS}, "none", ["id"], "target-empty", "is empty"),
        ({"many": [[0, 1]] * ROWS}, "many", ["id"], "target-kind", "is a list"),
        ({"day": [date(2026, 1, 1), date(2026, 1, 2)] * 30}, "day", ["id"], "target-kind", "is a date"),
        ({"cost": [float("nan"), *map(float, range(1, ROWS))]}, "cost", ["id"], "target-not-finite", "in 1 rows, first in row 1"),
        ({"cost": [*map(float, range(1, ROWS)), float("inf")]}, "cost", ["id"], "target-not-finite", "Leave empty"),
        ({"score": list(range(ROWS))}, "hot", ["score"], "key-reserved", "Rename it"),
        ({}, "hot", ["di"], "column-unknown", "Did you mean 'id'?"),
        ({}, "hot", ["hot"], "key-tie", "It could be: id."),
        ({"day": [None, *range(1, ROWS)]}, "hot", ["day"], "key-tie", "1 of 60 rows, first (None,)"),
        ({"pump": [at // 2 for at in range(ROWS)]}, "hot", ["pump"], "key-tie", "60 of 60 rows, first (0,)"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    tmp_path: Path, columns: dict[str, object], target: str | None, key: list[str], wrong: str, says: str
) -> None:
    with pytest.raises(InputError) as said:
        columns_of(written(tmp_path / "rows.parquet", columns), target, key)
    assert said.value.code == wrong
    assert says in f"{said.value} {said.value.hint}"


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1, 2], "hot": [0, 1]}).write_csv(tmp_path / "rows.csv")
    with pytest.raises(InputError, match="no column to learn from"):
        columns_of(tmp_path / "rows.csv", "hot", ["id"])


@pytest.mark.parametrize(
    ("template", "data", "target"),
    [("tabular", None, None), ("flights", "rows.csv", "hot"), (None, None, "hot"), (None, "no.csv", "hot")],
)
def test_what_does_not_fit_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str | None, data: str | None, target: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WerkError):
        init("mine", template, Path(data) if data else None, target, ["id"])
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("file", "table"),
    [("My Rows (3).CSV", "raw.my_rows_3"), ("2024.csv", "raw.rows_2024"), ("äö.csv", "raw.rows"), ("a_b.csv", "raw.a_b")],
)
def test_a_table_is_named_like_its_file(tmp_path: Path, file: str, table: str) -> None:
    pl.DataFrame(BASE).write_csv(tmp_path / file)
    assert columns_of(tmp_path / file, "hot", ["id"]).table == table


def test_a_row_of_any_key_has_a_lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[..., Path]) -> None:
    lot = runpy.run_path(str(made({}) / "pipelines.py"))["lot"]
    drawn = [lot((f"key {at}", at, date(2026, 1, 1))) for at in range(1000)]
    assert all(0 <= one < 1 for one in drawn)
    assert 400 < sum(one < 0.5 for one in drawn) < 600


def test_what_became_known_with_the_outcome_is_pointed_at(tmp_path: Path) -> None:
    """A flag that is only ever set with the outcome, and a repair time; not what is merely good, rare, or a coincidence."""
    rows = range(2000)
    failed = [at % 20 == 0 for at in rows]
    frame = pl.DataFrame(
        {
            "id": rows,
            "failed": failed,
            "fault_code": ["F1" if bad and at % 40 == 0 else None for at, bad in zip(rows, failed, strict=True)],
            "alarm": [bad and at % 40 == 0 for at, bad in zip(rows, failed, strict=True)],
            "repair_s": [100.5 + at % 7 if bad else (at % 977) / 977 for at, bad in zip(rows, failed, strict=True)],
            "good": [at % 331 + 150 * bad for at, bad in zip(rows, failed, strict=True)],
            "rare": [at == 40 for at in rows],
            "line": ["AB"[at % 2] for at in rows],
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    found = columns_of(tmp_path / "rows.parquet", "failed", ["id"])
    assert found.features == ("good", "rare", "line")
    assert found.left_out == (
        "fault_code (tells the outcome: where it is F1 (50 rows), the outcome is always 1)",
        "alarm (tells the outcome: where it is True (50 rows), the outcome is always 1)",
        "repair_s (known only afterwards, by its name: 'repair')",
    )
    frame.rename({"repair_s": "seconds"}).write_parquet(tmp_path / "rows.parquet")
    assert "seconds (tells the outcome alone: AUC 1.000)" in columns_of(tmp_path / "rows.parquet", "failed", ["id"]).left_out


def test_a_flag_among_flags_that_tell_the_outcome_goes_with_them(tmp_path: Path) -> None:
    """As the failure modes of a machine: the last one hardly ever came with a failure, and is one of them all the same."""
    rows = range(1000)
    modes = {name: [at % 40 == start for at in rows] for name, start in (("TWF", 0), ("HDF", 7))}
    failed = [any(flags) for flags in zip(*modes.values(), strict=True)]
    early = {"door": [at % 10 == 3 for at in rows], "size": [at % 97 / 3 for at in rows]}
    odd = {"RNF": [at % 100 == 51 for at in rows]}
    pl.DataFrame({"id": rows, **early, "failed": failed, **modes, **odd}).write_parquet(tmp_path / "rows.parquet")
    found = columns_of(tmp_path / "rows.parquet", "failed", [])
    assert (found.key, found.features) == (("id",), ("door", "size"))
    assert found.left_out[-1] == "RNF (stands with TWF, HDF, which tell the outcome)"


def test_what_counts_the_rows_is_no_feature(tmp_path: Path) -> None:
    more = {"position": [3 * at for at in range(ROWS)], "customer_id": [at * 37 % 601 for at in range(ROWS)]}
    found = columns_of(written(tmp_path / "rows.parquet", {**more, "watt": [at * 7 % 61 for at in range(ROWS)]}), "hot", ["id"])
    assert found.features == ("size", "watt")
    assert [why.partition(" (")[2] for why in found.left_out] == ["a number that counts the rows)"] * 2


def test_rows_without_a_key_get_one_of_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pl.DataFrame({"hot": [0, 1] * 30, "size": [1.5, 2.5, 2.5] * 20, "kind": ["a", "b", None] * 20})
    frame.write_csv("rows.csv")
    said = init("mine", None, Path("rows.csv"), "hot", []).text
    assert "a key made of what each row says" in said
    contract = load_contract(Path("mine/contracts/raw.rows.yaml"))
    landed = conform(contract, read_file(Path("rows.csv"))[0])
    assert landed.select("row_content", "row_copy").is_unique().all()
    assert landed["row_content"].n_unique() == 3
    later = conform(contract, frame.select("kind", "size").reverse().head(3))
    assert later["hot"].to_list() == [None] * 3
    assert set(later["row_content"]) == set(landed["row_content"])
    assert later["row_copy"].to_list() == [1, 1, 1]


def test_a_feature_that_is_never_there_with_both_outcomes_breaks_nothing(tmp_path: Path) -> None:
    half = [at / 7 if at % 2 else None for at in range(ROWS)]
    found = columns_of(written(tmp_path / "rows.parquet", {"after": half}), "hot", ["id"])
    assert found.features == ("size",)
    assert found.left_out == ("after (tells the outcome alone: AUC 1.000)",)


def test_a_plan_that_nobody_has_read_registers_nothing(made: Callable[..., Path]) -> None:
    plan = made({}) / "plan.toml"
    with pytest.raises(
        InputError, match="nobody has checked yet: goal, owner, risk_class, success_metric, affected_people"
    ) as said:
        load_plan(plan)
    assert said.value.code == "plan-unchecked"
    plan.write_text(plan.read_text().replace(" # check this", "", 4))
    with pytest.raises(InputError, match="nobody has checked yet: affected_people"):
        load_plan(plan)
    plan.write_text(plan.read_text().replace(" # check this", ""))
    assert load_plan(plan).risk_class == "minimal"


def test_a_plan_about_people_is_of_high_risk_until_somebody_says_otherwise(made: Callable[..., Path]) -> None:
    plan = tomllib.loads((made({"AGE": [at % 50 for at in range(ROWS)]}) / "plan.toml").read_text())
    assert (plan["risk_class"], plan["affected_people"]) == ("high", "The people that the rows speak of: AGE.")


DAYS = [date(2026, 1, 1 + at // 4) for at in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([True, False] * 30, "binary", ()),
        (["yes", "no"] * 30, "multiclass", ("no", "yes")),
        ([9, 10, 2] * 20, "multiclass", ("2", "9", "10")),
        ([3.0, None, 4.0] * 20, "multiclass", ("3", "4")),
        (list(range(ROWS)), "regression", ()),
        ([at / 3 for at in range(ROWS)], "regression", ()),
    ],
    ids=["booleans", "words", "few whole numbers", "few floats that are whole", "many whole numbers", "fractions"],
)
def test_the_task_is_what_the_outcome_holds(tmp_path: Path, values: list[object], task: str, classes: tuple[str, ...]) -> None:
    found = columns_of(written(tmp_path / "rows.parquet", {"out": values}), "out", ["id"])
    assert (found.outcome.task, found.outcome.classes) == (task, classes)
    assert ("task" in found.guessed) == (task != "binary")
    assert code(found)["TASK"] == task
    assert (f'TASK = "{task}"  # check this' in as_code(found)) == (task != "binary")


@pytest.mark.parametrize(
    ("values", "task", "wrong", "says"),
    [
        (["yes", "no"] * 30, "binary", "target-not-binary", "no, yes, not 1 and 0"),
        (["1.5", "2", "n/a"] * 20, "regression", "target-not-number", "row 3 has 'n/a'"),
        ([at / 3 for at in range(ROWS)], "multiclass", "target-values", "fractions"),
        ([f"p{at}" for at in range(ROWS)], "order", "task-unknown", "order"),
    ],
    ids=["no two", "a text", "fractions", "unknown"],
)
def test_a_task_that_the_outcome_does_not_fit_is_refused(
    tmp_path: Path, values: list[object], task: str, wrong: str, says: str
) -> None:
    with pytest.raises(WerkError) as said:
        columns_of(written(tmp_path / "rows.parquet", {"out": values}), "out", ["id"], task)
    assert said.value.code == wrong
    assert says in f"{said.value} {said.value.hint}"


def test_more_names_than_classes_can_be_are_refused_with_the_cell_that_made_a_text_of_a_number(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": range(300), "size": range(300), "cost": ["n/a" if at == 7 else str(at) for at in range(300)]})
    frame.write_csv(tmp_path / "rows.csv")
    with pytest.raises(InputError, match=r"300 values, more than the 100 classes that are learnt \(row 8 has 'n/a'\)"):
        columns_of(tmp_path / "rows.csv", "cost", ["id"])


def test_a_class_with_few_rows_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "rows.parquet", {"kind": ["a"] * 28 + ["b"] * 30 + ["ç"] * 2})
    said = init("mine", None, file, "kind", ["id"]).text
    assert "'kind' is one of 3 classes (multiclass); guessed: --task says otherwise; few rows of a (28), ç (2)" in said


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (DAYS, "date"),
        (list(range(ROWS)), "integer"),
        ([f"{day.isoformat()}T08:00:00+01:00" for day in DAYS], "timestamp"),
        ([f"{day.isoformat()} 08:00" for day in DAYS], "string"),
        ([datetime.combine(day, time(8)) for day in DAYS], ""),
        ([datetime.combine(day, time(8), UTC) for day in DAYS], "timestamp"),
    ],
    ids=["days", "numbers", "zoned texts", "texts", "moments", "zoned moments"],
)
def test_the_newest_rows_are_held_out_by_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[object], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "rows.parquet", {"when": values, "wide": [at % 7 / 3 for at in range(ROWS)]})
    init("mine", None, file, "size", ["id"], time="when")
    contract = load_contract(tmp_path / "mine" / "contracts" / "raw.rows.yaml")
    assert contract.columns["when"] == kind
    assert "not_null(when)" in {rule.name for rule in contract.rules}
    landed = conform(contract, read_file(file)[0]).sample(fraction=1.0, shuffle=True, seed=3)
    split = runpy.run_path(str(tmp_path / "mine" / "pipelines.py"))["split"]
    fit, held_out = split.fn(landed, 0.3) if hasattr(split, "fn") else split(landed, 0.3)
    assert fit["when"].max() < held_out["when"].min()
    assert (len(fit) + len(held_out), 12 <= len(held_out) <= 20) == (ROWS, True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path / "mine", capture_output=True, text=True, check=False)
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize(
    ("values", "wrong", "says"),
    [
        (["3.1.2026"] * ROWS, "time-unordered", "it has '3.1.2026'"),
        ([day.isoformat() + "T08:00:00Z" * (day.day % 2) for day in DAYS], "time-unordered", "some of it has another form"),
        ([[1]] * ROWS, "time-unordered", "it is a list"),
        ([date(2026, 1, 1)] * ROWS, "time-few", "1 moments only"),
    ],
    ids=["other order", "two forms", "list", "one day"],
)
def test_what_is_no_order_in_time_is_refused(tmp_path: Path, values: list[object], wrong: str, says: str) -> None:
    with pytest.raises(InputError) as said:
        columns_of(written(tmp_path / "rows.parquet", {"when": values}), "hot", ["id"], time="when")
    assert said.value.code == wrong
    assert says in f"{said.value} {said.value.hint}"


def test_the_outcome_is_no_time_and_a_missing_column_neither(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.parquet", {"when": DAYS})
    for column, wrong in (("hot", "time-outcome"), ("wehn", "column-unknown")):
        with pytest.raises(InputError) as said:
            columns_of(file, "hot", ["id"], time=column)
        assert said.value.code == wrong


def test_a_column_that_says_when_is_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [day.isoformat() for day in DAYS]
    file = written(tmp_path / "rows.parquet", {"when": DAYS, "text": texts, "other": [f"{at}-x" for at in range(ROWS)]})
    said = init("mine", None, file, "hot", ["id"]).text
    assert "look at when, text: rows seem to have a time; --time COLUMN holds out the newest of them" in said
    assert "TIME = None  # rows are held out by lot, and with a column's name here the newest ones; it could be when, text" in (
        tmp_path / "mine" / "pipelines.py"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("outcome", ["hot", "size", "kind"])
def test_gate_and_behaviour_are_proposed_for_the_task_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = ['a "b"'] * 20 + ["ç"] * 40
    file = written(tmp_path / "rows.parquet", {"kind": kinds, "wear\n[min]": [at * 2.5 for at in range(ROWS)][::-1]})
    frame = pl.read_parquet(file).with_columns(size=pl.col("size") + pl.int_range(ROWS) % 5, hot=(pl.col("id") % 5 < 2).cast(int))
    frame.with_columns(pl.col("wear\n[min]") + pl.int_range(ROWS) % 11 + pl.col("hot") * 30).write_parquet(file)
    init("mine", None, file, outcome, ["id"])
    gate = Gate.load(tmp_path / "mine" / "gate.toml")
    assert [bound.metric for bound in gate.metrics] == [{"hot": "auc", "size": "r2", "kind": "accuracy"}[outcome]]
    assert gate.champion is not None
    tests = load_behaviour(tmp_path / "mine" / "behaviour.toml")
    assert 0 < len(tests) <= 3
    assert all(isinstance(test, Direction) and test.change > 0 for test in tests)
    if outcome == "size":
        assert [(test.column, test.expect) for test in tests if isinstance(test, Direction)][:1] == [("wear\n[min]", "not rise")]
    if outcome == "kind":
        assert {test.of for test in tests if isinstance(test, Direction)} <= {'a "b"', "ç"}


def test_a_key_named_like_what_is_said_of_a_class_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.parquet", {"kind": ["a", "b"] * 30, "p_a": list(range(ROWS))})
    with pytest.raises(InputError, match="'p_a' has a name that werk's own tables need"):
        columns_of(file, "kind", ["p_a"])


def test_a_gate_for_rare_classes_is_not_passed_by_who_always_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init("mine", None, written(tmp_path / "rows.parquet", {"kind": ["rare"] * 6 + ["common"] * 54}), "kind", ["id"])
    [bound] = Gate.load(tmp_path / "mine" / "gate.toml").metrics
    always = 2 * 0.9 / 1.9 / 2  # the F1 of 'common' if all are called so, and 0 of 'rare'
    assert (bound.metric, bound.on) == ("macro_f1", "low")
    assert bound.min is not None
    assert always < bound.min < always + 0.1
