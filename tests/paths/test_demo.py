"""The whole demo on a laptop's files and on a team's PostgreSQL and S3: the same models, the same answers.

Two months of it; WERK_SLOW=1 walks all six.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werk.app.commands.demo import MONTHS

DEMO = "import json, sys; from pathlib import Path; from werk.app.commands.demo import demo; "
DEMO += "demo(Path('flight-delay'), **json.loads(sys.argv[1]))"
WALKED = MONTHS if os.environ.get("WERK_SLOW") else ("2013-09", "2013-10")
# They are never taken from the cache: what they give depends on what is registered by then.
ALWAYS_DONE = {"register-model", "store-metadata"}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for the demo, and the environment it is walked in."""

    folder: Path
    profile: str
    environment: dict[str, str]

    @property
    def root(self) -> Path:
        return self.folder / "flight-delay"

    def walks(self) -> str:
        given = json.dumps({"profile": self.profile, "months": WALKED})
        done = self._started([sys.executable, "-c", DEMO, given], self.folder)
        return done.stdout

    def asks(self, *words: str) -> Any:
        command = [sys.executable, "-m", "werk.app.cli", *words, "--json", "--profile", self.profile]
        return json.loads(self._started(command, self.root, stderr=subprocess.PIPE).stdout)

    def versions(self) -> dict[int, tuple[str, str]]:
        return {row["version"]: (row["canonical_hash"], row["status"]) for row in self.asks("models")}

    def _started(self, command: list[str], folder: Path, stderr: int = subprocess.STDOUT) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + (done.stderr or "")
        return done


def place(tmp_path: Path, profile: str, **environment: str) -> Place:
    folder = tmp_path / profile
    folder.mkdir()
    return Place(folder, profile, {**environment, "WERK_HOME": str(folder / "home")})


def scores_of(log: str) -> list[str]:
    """The batch score of one flight, and what each protocol answered for it."""
    return re.findall(r"^  (?:product\.predictions|POST \S+) +(0\.\d+) ", log, re.MULTILINE)


def test_the_whole_demo_is_the_same_on_files_and_on_servers(team: Any, tmp_path: Path) -> None:
    local, servers = place(tmp_path, "local"), place(tmp_path, "team", **team.environment)
    logs = {where.profile: where.walks() for where in (local, servers)}
    assert servers.versions() == local.versions()
    assert {status for _, status in servers.versions().values()} == {"approved"}
    assert len(servers.versions()) == (3 if WALKED == MONTHS else 2)
    for log in logs.values():
        assert len(scores_of(log)) == 3
        assert len(set(scores_of(log))) == 1
        assert "\nholds: " in log
        assert "\nidentical: " in log
        assert "written to story.html" in log
    assert scores_of(logs["team"]) == scores_of(logs["local"])
    assert (servers.root / "story.html").stat().st_size > 20_000
    nothing_but_code_and_the_manifest_stays_here(servers)
    no_credential_is_shown(team, logs["team"], servers)
    the_second_is_all_cache_hits(servers)


def nothing_but_code_and_the_manifest_stays_here(servers: Place) -> None:
    assert not (servers.root / "lake").exists()
    kept = {path.name for path in (servers.root / ".werk").iterdir()} - {"logs"}  # what steps print, where they run
    assert kept == {".gitignore", "code.git", "serving"}


def no_credential_is_shown(team: Any, log: str, servers: Place) -> None:
    files = [path for path in servers.folder.rglob("*") if path.is_file()]
    for hidden in team.hidden:
        assert hidden not in log
        assert [path for path in files if hidden.encode() in path.read_bytes()] == []


def the_second_is_all_cache_hits(servers: Place) -> None:
    before, runs = servers.versions(), servers.asks("runs", "--limit", "500")
    log = servers.walks()
    assert "Human acts: 0 approval(s) this time." in log
    assert servers.versions() == before
    steps = Counter(re.findall(r"^  \d/\d (\S+) +(cached|finished)", log, re.MULTILINE))
    assert {step for step, how in steps if how == "finished"} <= ALWAYS_DONE
    assert sum(count for (_, how), count in steps.items() if how == "cached") > 20
    started = Counter(run["pipeline"] for run in servers.asks("runs", "--limit", "500")) - Counter(r["pipeline"] for r in runs)
    assert "deployment" not in started
