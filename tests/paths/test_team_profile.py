"""One project on a laptop's files and on a team's PostgreSQL and S3: only the profile differs, the model does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from werk.app.answers import Answer
from werk.app.commands import models, projects, proof, tables
from werk.app.settings import load_settings
from werk.core.errors import InputError

TABLES = ("airlines", "airports", "planes", "weather", "flights")
GATE = '[metrics.auc]\nmin = 0.5\non = "low"\n'  # two months and twenty trees do not reach the template's own


@dataclass(frozen=True, slots=True)
class Ran:
    """What one profile made of the project; `left` are the files it then has."""

    landed: list[Any]
    run: dict[str, Any]
    versions: Sequence[Any]
    left: frozenset[str]


@dataclass(frozen=True, slots=True)
class Both:
    root: Path
    team: Ran
    local: Ran

    @property
    def id(self) -> str:
        return load_settings(self.root, "local").project.id


@contextmanager
def acting(environment: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def trained(root: Path, environment: dict[str, str], *profile: str) -> dict[str, Any]:
    """A run in a process of its own, as a user starts it: the project's modules are loaded there."""
    words = ["run", "training", "-p", "through=2013-02", "-p", "params.rounds=20", "--json", *profile]
    command = [sys.executable, "-m", "werk.app.cli", *words]
    env = {**os.environ, **environment}
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def ran(root: Path, environment: dict[str, str], profile: str, *words: str) -> Ran:
    with acting(environment):
        landed = [tables.ingest(f"raw.{name}", root / f"data/{name}.parquet", root, profile).record for name in TABLES]
        run = trained(root, environment, *words)
        versions = models.models(None, root, profile).rows or ()
    return Ran(landed, run, versions, frozenset(p.relative_to(root).as_posix() for p in root.rglob("*")))


@pytest.fixture(scope="module")
def both(team: Any, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The team first, so that nothing a local run has left can help it."""
    place = tmp_path_factory.mktemp("projects")
    home = {"WERK_HOME": str(place / "home")}
    team.environment.update(home)
    root = place / "flights-team"
    projects.create(root, "flights")
    (root / "gate.toml").write_text(GATE)
    on_team = ran(root, {**team.environment, "WERK_PROFILE": "team"}, "team")
    return Both(root, on_team, ran(root, home, "local", "--profile", "local"))


def audited(both: Both, team: Any) -> Answer:
    with acting(team.environment):
        return proof.verify(both.root, "team")


def bodies(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [str(body) for (body,) in connection.execute("SELECT body FROM facts ORDER BY seq")]


def test_the_profile_changes_where_things_lie_and_not_what_they_are(both: Both) -> None:
    (local,), (team,) = both.local.versions, both.team.versions
    assert local["canonical_hash"].startswith("werk-canon/1:lightgbm:")
    assert team["canonical_hash"] == local["canonical_hash"]
    assert both.team.landed == both.local.landed
    assert both.team.run["code"] == both.local.run["code"]
    assert both.team.run["run"] != both.local.run["run"], "they were two runs"


@pytest.mark.parametrize("profile", ["team", "local"])
def test_a_model_is_traced_to_its_files_from_either_place(both: Both, team: Any, profile: str) -> None:
    with acting(team.environment):
        found = proof.lineage("flights-team:1", both.root, profile).record or {}
        late = tables.sql("SELECT count(*) AS late FROM raw.flights WHERE arr_delay >= 30", both.root, profile).rows
    assert late == [{"late": 52802}]
    traced = {origin["source"] for origin in cast("list[dict[str, object]]", found["snapshots"])}
    assert traced == {"flights.parquet", "planes.parquet", "weather.parquet"}


def test_with_the_team_profile_nothing_but_code_and_what_steps_print_stays_on_this_machine(both: Both, team: Any) -> None:
    kept = {name for name in both.team.left if name.startswith((".werk/", "lake"))}
    assert {name for name in kept if not name.startswith((".werk/code.git", ".werk/logs"))} == {".werk/.gitignore"}
    assert {"lake", ".werk/journal.db", ".werk/objects"} <= both.local.left
    keys = team.stored()
    assert {f"lake/{both.id}/raw/{name}/_delta_log/00000000000000000000.json" for name in TABLES} <= set(keys)
    assert [key for key in keys if key.startswith(f"{both.id}/payloads/")]


def test_the_audit_holds_on_postgres_and_in_the_bucket(both: Both, team: Any) -> None:
    whole = audited(both, team)
    heads = len(TABLES) + 1  # each command that wrote signed its head
    record = dict(whole.record or {})
    found = cast("dict[str, Any]", record.pop("tables"))
    said = {name: value for name, value in record.items() if name not in ("journal", "head")}
    assert said == {"ok": True, "facts": len(bodies(team.journal_url)), "heads": heads, "damages": [], "notes": []}
    assert (found["versions"], found["unrecorded"], found["vacuumed"]) == (len(TABLES) + 1, [], [])  # the weather's quarantine


def test_the_audit_finds_a_changed_file_in_the_bucket(both: Both, team: Any) -> None:
    [key] = [key for key in team.stored() if f"{both.id}/raw/planes/part" in key]
    data = team.s3.get_object(Bucket=team.bucket, Key=key)["Body"].read()
    team.s3.put_object(Bucket=team.bucket, Key=key, Body=data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    found = audited(both, team)
    team.s3.put_object(Bucket=team.bucket, Key=key, Body=data)
    assert (found.exit_code, "raw.planes@0 is not what was written: part-" in found.text) == (1, True)


def test_the_audit_finds_a_changed_fact_on_postgres(both: Both, team: Any) -> None:
    with changed(team.journal_url, seq=2):
        found = audited(both, team)
    assert found.exit_code == 1
    assert "DAMAGED" in found.text
    assert "fact 2" in found.text.lower()
    assert audited(both, team).exit_code == 0


@contextmanager
def changed(url: str, seq: int) -> Iterator[None]:
    """One letter of a fact's body, and back."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((body,),) = connection.execute("SELECT body FROM facts WHERE seq = %s", (seq,))
        other = body[:-2] + chr(ord(body[-2]) ^ 1) + body[-1]
        connection.execute("UPDATE facts SET body = %s WHERE seq = %s", (other, seq))
        try:
            yield
        finally:
            connection.execute("UPDATE facts SET body = %s WHERE seq = %s", (body, seq))


def test_no_credential_is_written_anywhere(both: Both, team: Any) -> None:
    written = {f"fact {seq}": body.encode() for seq, body in enumerate(bodies(team.journal_url), 1)}
    for key in team.stored():
        written[key] = team.s3.get_object(Bucket=team.bucket, Key=key)["Body"].read()
    written |= {path.as_posix(): path.read_bytes() for path in both.root.parent.rglob("*") if path.is_file()}
    assert [name for name, data in written.items() if both.team.versions[0]["canonical_hash"].encode() in data]
    assert [name for name, data in written.items() for secret in team.hidden if secret.encode() in data] == []


@pytest.mark.parametrize("name", ["WERK_JOURNAL_URL", "WERK_TABLES", "WERK_BUCKET", "AWS_SECRET_ACCESS_KEY"])
def test_a_reference_that_is_not_set_is_named(both: Both, team: Any, name: str) -> None:
    with acting({key: value for key, value in team.environment.items() if key != name}), pytest.raises(InputError) as missing:
        tables.tables(None, both.root, "team")
    assert missing.value.code == "secret-missing"
    assert name in missing.value.message
