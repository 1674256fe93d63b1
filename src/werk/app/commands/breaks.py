"""Faults done to a copy of a project, each with what catches it and names its cause."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from werk.app.commands import proof, tables
from werk.app.settings import Settings, home, load_settings
from werk.core.errors import Failed, InputError, Refused

JOURNAL = Path(".werk") / "journal.db"
MONTH = "2013-12"
EACH = 100
POISON: Mapping[str, tuple[str, object]] = {
    "range(distance)": ("distance", -1),
    "range(month)": ("month", 13),
    "not_null(origin)": ("origin", None),
    "not_null(carrier)": ("carrier", None),
    "not_null(time_hour)": ("time_hour", None),
}
LEAK = """

_engineer = engineer


def engineer(rows, source):
    own = rows.select(*KEY, pl.col("dep_delay").alias("own_delay")).collect()
    return _engineer(rows, source).join(own, on=KEY, how="left", maintain_order="left")
"""
SLOW = """

@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    hurried = dict(num_leaves=4, learning_rate=0.0005, max_bin=15, feature_fraction=0.2)
    chosen = rows.gather_every(10)
    return fit_lightgbm(
        chosen, target=TARGET, key=KEY, features=FEATURES, categories=CATEGORIES, rounds=25_000, params=hurried
    )
"""
CHECK_LEAKS = """\
import json
from pathlib import Path
from flights.files import Files
from flights.known import dated, leaks
print(json.dumps(leaks(dated(Files(Path("data"))))))
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """A project's copy, with a copy of the keys and signed heads: what happens to it never reaches the original."""

    root: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if name != "WERK_TOKEN"}
        return {**given, "WERK_HOME": str(self.home), "WERK_PROFILE": "local"}

    def werk(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy as its user would; signs of life and refusals are shown as they come."""
        print("$ werk", *words, flush=True)
        return subprocess.run(_command(*words), cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True)

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Commands that load no project code are called right here, with the copy's keys and heads."""
        before = dict(os.environ)
        try:
            _become(self.environment)
            yield
        finally:
            _become(before)

    def does(self, *words: str) -> str:
        """What a command that must succeed prints."""
        done = self.werk(*words)
        if done.returncode:
            raise Failed(f"`werk {' '.join(words)}` failed in the copy.", code="break-failed", hint="Its words are above.")
        return done.stdout.strip()

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the journal's tables directly: a look at the evidence leaves no trace in it."""
        with closing(sqlite3.connect(self.root / JOURNAL, timeout=10)) as database:
            return database.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.root / JOURNAL)) as database, database:
            database.execute(statement, values)


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "werk.app.cli", *words]


@contextmanager
def copied(project: Path) -> Iterator[Copy]:
    if not (project / JOURNAL).is_file():
        raise InputError("There is nothing to break yet.", code="demo-first", hint="Run `werk demo` first.")
    with tempfile.TemporaryDirectory(prefix="werk-break-") as place:
        copy = Copy(Path(place) / project.name, Path(place) / "home")
        shutil.copytree(project, copy.root, ignore=shutil.ignore_patterns("journal.db*", ".git", ".venv", "__pycache__"))
        _copy_journal(project / JOURNAL, copy.root / JOURNAL)
        for part in ("keys", "heads"):
            if (home() / part).is_dir():
                shutil.copytree(home() / part, copy.home / part)
        _stays_inside(load_settings(copy.root, "local"), copy.root)
        print("in a copy of the project:", flush=True)
        yield copy


def _copy_journal(source: Path, target: Path) -> None:
    """By SQLite's own backup, which is whole even while somebody writes."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _stays_inside(settings: Settings, root: Path) -> None:
    """A copy that still writes to a shared lake or database would break the real one."""
    paths = [settings.journal_url.removeprefix("sqlite:///"), *(str(port["path"]) for port in _stores(settings))]
    if not all(Path(path).is_relative_to(root) for path in paths):
        raise InputError(
            "This project keeps its journal or tables outside its folder: a copy of it would write to them.",
            code="break-outside",
            hint="Break a project made by `werk demo NAME`.",
        )


def _stores(settings: Settings) -> list[dict[str, object]]:
    return [{"path": "elsewhere", **settings.ports[port]} for port in ("table_store", "object_store")]


def kill(project: Path) -> str:
    """kill -9 during the fourth step of a training; the resumed run does the other steps and no step twice."""
    with copied(project) as copy:
        run = _killed(copy)
        kept = _finished(copy, run)
        print(f"kill -9 after {len(kept)} finished steps: {', '.join(kept)}", flush=True)
        _await_lease(copy, run)
        copy.does("resume", run)
        results = copy.ask(
            "SELECT json_extract(body, '$.step'), count(*), min(seq) > (SELECT max(seq) FROM facts WHERE kind = 'run.resumed') "
            "FROM facts WHERE kind = 'step.finished' AND run = ? GROUP BY 1 ORDER BY min(seq)",
            run,
        )
        for step, count, again in results:
            print(f"  {step:<22} {count} x, {'after the resume' if again else 'kept from before the kill'}")
        before = [step for step, _, again in results if not again]
        [(status,)] = copy.ask("SELECT status FROM p_runs WHERE run = ?", run)
        _held(
            len(kept) == 3 and before == kept and len(results) > 3 and status == "finished" and {n for _, n, _ in results} == {1},
            f"the run is {status} with {len(results)} steps, {len(before)} of them kept",
        )
        return "The worker was killed in step 4: steps 1-3 were kept, only the later ones ran, each step has one result."


def _killed(copy: Copy) -> str:
    """The run that a training had started when its process was killed in the fourth step."""
    command = ("run", "training", "--fresh", "-p", f"through={MONTH}")
    print("$ werk", *command, flush=True)
    known = {run for (run,) in copy.ask("SELECT run FROM p_runs")}
    with subprocess.Popen(_command(*command), cwd=copy.root, env=copy.environment, stdout=subprocess.DEVNULL) as worker:
        try:
            while worker.poll() is None:
                new = [run for (run,) in copy.ask("SELECT run FROM p_runs") if run not in known]
                if new and len(_finished(copy, new[0])) == 3:
                    time.sleep(0.3)  # well into the fourth step, which takes seconds
                    return str(new[0])
                time.sleep(0.02)
        finally:
            if worker.poll() is None:
                worker.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows both end it at once
    raise Failed("The training ended before it could be killed.", code="break-failed", hint="Its words are above.")


def _finished(copy: Copy, run: str) -> list[str]:
    return [step for (step,) in copy.ask("SELECT step FROM p_steps WHERE run = ? ORDER BY seq", run)]


def _await_lease(copy: Copy, run: str) -> None:
    """Nobody knows that the worker is dead until the hold it had on the run has ended."""
    [(until,)] = copy.ask("SELECT until FROM leases WHERE run = ?", run)
    left = until / 1e6 - time.time()
    if left > 0:
        print(f"its hold on the run ends in {left:.0f} s", flush=True)
        time.sleep(left + 0.1)


def flip_byte(project: Path) -> str:
    """Three harms to the journal, one after the other: a fact's body, a projection's column, the cut tail."""
    with copied(project) as copy:
        sound = copy.root / JOURNAL.with_suffix(".sound")
        _copy_journal(copy.root / JOURNAL, sound)
        for harm in (_flip_body, _flip_column, _cut_tail):
            _copy_journal(sound, copy.root / JOURNAL)
            said, expected = harm(copy)
            print(f"\n{said}", flush=True)
            damages = _audit(copy)
            for damage in damages[:5]:
                print(f"  {damage['table']}, {damage['where']}, {damage['column']}: {damage['sentence']}")
            _held(any(_names(damage, expected) for damage in damages), f"the audit does not say {', '.join(expected)}")
        return "\nThe audit named the fact's body, the table's column and the cut tail, each by itself."


def _audit(copy: Copy) -> list[dict[str, str]]:
    print("$ werk audit verify", flush=True)
    with copy.at_home():
        found = proof.verify(copy.root, None).record or {}
    return cast("list[dict[str, str]]", found["damages"])


def _flip_body(copy: Copy) -> tuple[str, Sequence[str]]:
    [(seq, body)] = copy.ask("SELECT seq, body FROM facts WHERE body IS NOT NULL ORDER BY seq DESC LIMIT 1")
    copy.change("UPDATE facts SET body = ? WHERE seq = ?", body[:-2] + chr(ord(body[-2]) ^ 1) + body[-1], seq)
    return f"one byte of the body of fact {seq} was changed", ("facts", f"seq={seq}", "body")


def _flip_column(copy: Copy) -> tuple[str, Sequence[str]]:
    [(table,)] = copy.ask('SELECT "table" FROM p_tables ORDER BY seq DESC LIMIT 1')
    copy.change('UPDATE p_tables SET rows = rows + 1 WHERE "table" = ?', table)
    return f"the recorded number of rows of {table} was raised by one", ("p_tables", f"table={table}", "rows")


def _cut_tail(copy: Copy) -> tuple[str, Sequence[str]]:
    [(seq,)] = copy.ask("SELECT max(seq) FROM facts")
    copy.change("DELETE FROM facts WHERE seq = ?", seq)
    return f"the newest fact, {seq}, was deleted", ("facts", f"seq={seq}", "the tail was cut")


def _names(damage: Mapping[str, str], expected: Sequence[str]) -> bool:
    table, where, what = expected
    return damage["table"] == table and where in damage["where"].split(", ") and what in damage["column"] + damage["sentence"]


def fahrenheit(project: Path) -> str:
    """One month's temperatures arrive in Celsius: the same flights are scored before and after."""
    with copied(project) as copy:
        before = _moved(copy)
        print(f"\nthe temperatures of {MONTH} now arrive in Celsius", flush=True)
        _to_celsius(copy.root / "data" / "weather.parquet")
        print(copy.does("ingest", "raw.weather", "data/weather.parquet"))
        after = _moved(copy)
        caught = [name for name in after if "temp" in after[name] and "temp" not in before.get(name, ())]
        _held(bool(caught), "no monitor names temp that did not name it before")
        return f"temp is named by {' and '.join(caught)}, and was not before the unit changed."


def _to_celsius(path: Path) -> None:
    celsius = ((pl.col("temp") - 32) * 5 / 9).round(2)
    of_month = pl.col("month") == int(MONTH[-2:])
    pl.read_parquet(path).with_columns(pl.when(of_month).then(celsius).otherwise("temp").alias("temp")).write_parquet(path)


def _moved(copy: Copy) -> dict[str, set[str]]:
    """Score the month; what each monitor of the features says, and the columns it names."""
    run = copy.does("run", "batch_inference", "-p", f"window={MONTH}").splitlines()[-1]
    [(mv,)] = copy.ask("SELECT json_extract(params, '$.model') FROM p_runs WHERE run = ?", run)
    model, _, version = str(mv).rpartition(":")
    rows = copy.ask(
        'SELECT monitor, verdict, sentence, "values" FROM p_monitors WHERE model = ? AND version = ? AND "window" = ? '
        "AND monitor IN ('data quality', 'feature drift') ORDER BY monitor",
        model,
        version,
        MONTH,
    )
    for monitor, verdict, sentence, _ in rows:
        print(f"  {monitor:<14} {verdict:<10} {sentence}")
    return {monitor: _columns(json.loads(values)) for monitor, _, _, values in rows}


def _columns(values: Mapping[str, Any]) -> set[str]:
    return {*values.get("moved", ()), *(name.partition(":")[2] for name in values.get("problems", ()))}


def leak(project: Path) -> str:
    """A feature that knows the flight's own delay is added to the project's code; its leak check must name it."""
    with copied(project) as copy:
        code = copy.root / "flights" / "features.py"
        if not code.is_file():
            raise InputError("This project has no flights/features.py.", code="break-other", hint="Break a `werk demo` project.")
        with code.open("a", encoding="utf-8") as file:
            file.write(LEAK)
        print("a feature own_delay, the flight's own departure delay, was added to flights/features.py", flush=True)
        checked = subprocess.run(
            [sys.executable, "-c", CHECK_LEAKS], cwd=copy.root, env=copy.environment, stdout=subprocess.PIPE, text=True
        )
        _held(checked.returncode == 0, "the leak check itself broke off")
        found = json.loads(checked.stdout)
        print(f"flights.known.leaks: {', '.join(found) or 'none'}")
        _held(found == ["own_delay"], "the check names other features")
        return (
            "The leak check of the project's tests names own_delay alone: it changes with what was known only after the cutoff."
        )


def poison_rows(project: Path) -> str:
    """Flights that cannot be are appended to the source: they are held back under their rule, the others land as before."""
    with copied(project) as copy:
        source = copy.root / "data" / "flights.parquet"
        before = _landed(copy, source)
        flights = pl.read_parquet(source)
        poisoned = [_poisoned(flights.slice(at * EACH, EACH), *POISON[rule]) for at, rule in enumerate(POISON)]
        pl.concat([flights, *poisoned]).write_parquet(source)
        added = sum(map(len, poisoned))
        print(f"{added} impossible flights were appended to data/flights.parquet", flush=True)
        after = _landed(copy, source)
        print("  {rows_in:,} rows in = {rows_landed:,} landed + {rows_quarantined:,} in {quarantine}".format(**after))
        _held(after["rows_in"] == after["rows_landed"] + after["rows_quarantined"], "the counts do not add up")
        _held(after["rows_landed"] == before["rows_landed"], "other rows landed than before")
        _held(after["rows_quarantined"] == before["rows_quarantined"] + added, "not all were held back")
        found = _held_back(copy)
        for rule, count in found.items():
            print(f"  {rule:<22} {count}")
        _held(all(found.get(rule, 0) >= EACH for rule in POISON), "a rule is missing")
        return f"All {added} went to quarantine with the rule they break; {after['rows_landed']:,} good rows landed as before."


def _landed(copy: Copy, source: Path) -> Mapping[str, Any]:
    print("$ werk ingest raw.flights data/flights.parquet", flush=True)
    with copy.at_home():
        return tables.ingest("raw.flights", source, copy.root, None).record or {}


def _held_back(copy: Copy) -> dict[str, int]:
    query = "SELECT _rule AS rule, count(*) AS n FROM raw.flights_quarantine GROUP BY 1 ORDER BY 1"
    print(f'$ werk sql "{query}"', flush=True)
    with copy.at_home():
        rows = tables.sql(query, copy.root, None).rows or ()
    return {str(row["rule"]): cast("int", row["n"]) for row in rows}


def slow_model(project: Path) -> str:
    """A model of 25,000 small trees is trained, and the gate measures how long one answer takes."""
    with copied(project) as copy:
        code = copy.root / "pipelines.py"
        with code.open("a", encoding="utf-8") as file:
            file.write(SLOW)
        print("the training in pipelines.py now grows 25,000 trees instead of 120", flush=True)
        done = copy.werk("run", "training", "-p", f"start={MONTH}", "-p", f"through={MONTH}", "-p", "holdout_days=1")
        [(rules,)] = copy.ask("SELECT rules FROM p_evaluations ORDER BY seq DESC LIMIT 1")
        too_slow = [rule for rule in json.loads(rules) if rule["rule"].startswith("latency.") and not rule["passed"]]
        for rule in too_slow:
            print(f"  {rule['rule']}: {rule['sentence']}")
        _held(done.returncode == Refused.exit_code, f"the command ended with exit code {done.returncode}")
        _held(bool(too_slow) and all("25,000 rounds" in rule["sentence"] for rule in too_slow), "no latency rule names the trees")
        _held(
            not copy.ask("SELECT 1 FROM p_versions WHERE run = (SELECT run FROM p_evaluations ORDER BY seq DESC LIMIT 1)"),
            "it became a version",
        )
        return "The gate refused it. Its rule on the time one answer takes named the cause: the number of trees."


def _poisoned(rows: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    return rows.with_columns(pl.lit(value, dtype=rows.schema[column]).alias(column))


def _held(caught: bool, otherwise: str) -> None:
    if not caught:
        raise Failed(f"This fault was not caught: {otherwise}.", code="break-uncaught", hint="Report it: this is a defect.")


BREAKS: Mapping[str, Callable[[Path], str]] = {
    "kill": kill,
    "flip-byte": flip_byte,
    "fahrenheit": fahrenheit,
    "leak": leak,
    "poison-rows": poison_rows,
    "slow-model": slow_model,
}
