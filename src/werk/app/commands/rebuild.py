"""Rebuild a registered model in a process of its own and say what came of it.

The exit code is 0 for `identical` and 1 for every other verdict, `not rebuildable` and `not comparable` included: a script
that asks for the proof must not go on without it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from werk.app.answers import Answer
from werk.app.wiring import TOKEN, Session, opened
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError, Tampered
from werk.core.journal import NewFact
from werk.core.nouns import ModelVersion
from werk.data import tampered
from werk.pipelines.rebuild import (
    Rebuilt,
    Recipe,
    Trained,
    comparable,
    gone,
    judged,
    recipe_of,
    recorded_of,
    tolerance_of,
    unexplained,
)
from werk.pipelines.stored import damaged
from werk.registry import version_row
from werk.workflow.capture import Environment, altered, checkout_code, differences, variables_for, withheld

# Whoever asks for a rebuild lends it neither a token, which its own empty journal would not know, nor a profile.
_NOT_LENT = (TOKEN, "WERK_PROFILE")


def rebuild(version: str, verify: bool, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile, writes=True) as session:
        found = _rebuilt(session, mv, altered() if verify else [], _stored(session, mv) if verify else [])
        body: dict[str, JSON] = {"outcome": found.outcome, "rebuilt": found.rebuilt, "causes": list(found.causes)}
        session.p.journal.append([NewFact("model.rebuilt", version, body)])
    return Answer(record=found.to_json(), text=_told(found), exit_code=0 if found.outcome == "identical" else 1)


def _stored(session: Session, mv: ModelVersion) -> list[str]:
    return [found.sentence for found in damaged(session.p, mv)]


def _rebuilt(session: Session, mv: ModelVersion, altered: list[str], stored: list[str]) -> Rebuilt:
    p, version = session.p, str(mv)
    identity = str(version_row(p, mv)["canonical_hash"])
    recipe = recipe_of(p, mv)
    if recipe is None:
        return Rebuilt(version, "not rebuildable", identity, causes=("what it was trained from is erased",))
    recorded = recorded_of(p, mv, recipe)
    elsewhere = comparable(recorded.environment, platform.machine())
    if elsewhere:
        return Rebuilt(version, "not comparable", identity, causes=(elsewhere,))
    if missing := gone(p, recipe):
        return Rebuilt(version, "not rebuildable", identity, causes=tuple(f"{name} is gone" for name in missing))
    changed = [f"data: {sentence}" for sentence in tampered(p, {read for step in recorded.steps for read in step.reads})]
    changed += _from_elsewhere(recipe)
    try:
        again = _again(session, recipe, recorded.environment)
        second = _again(session, recipe, recorded.environment) if unexplained(recorded, again) else None
    except _Stopped as stopped:
        return Rebuilt(version, "not rebuildable", identity, causes=(*stopped.causes, *changed))
    found = judged(version, recorded, again, tolerance=tolerance_of(p, mv), altered=altered, stored=stored, second=second)
    return _with_changed(found, changed)


def _with_changed(found: Rebuilt, changed: list[str]) -> Rebuilt:
    """Files that are not what was written are an input that differs, even where the model never looked at what has changed."""
    outcome = "equivalent" if changed and found.outcome == "identical" else found.outcome
    return replace(found, outcome=outcome, causes=(*found.causes, *changed))


class _Stopped(Failed):
    """The training could not be repeated; `causes` says why, inputs that differ first."""

    def __init__(self, *causes: str) -> None:
        super().__init__("The training could not be repeated.", code="rebuild-stopped")
        self.causes = causes


def _again(session: Session, recipe: Recipe, then: Environment) -> Trained:
    """Trained in a new process with the recorded variables, the code tree and the table versions; an empty cache, no model."""
    with tempfile.TemporaryDirectory(prefix="werk-rebuild-") as place, _checked_out(session, recipe, Path(place)) as code:
        job = {"code": str(code), "out": place, "recipe": asdict(recipe), "table_store": session.settings.ports["table_store"]}
        shell = {name: value for name, value in os.environ.items() if name not in _NOT_LENT}
        done = subprocess.run(
            [sys.executable, "-m", "werk.app.rebuilding"],
            input=json.dumps(job),
            env=variables_for(then, shell),
            capture_output=True,
            text=True,
            cwd=code,
            check=False,
        )
        if done.returncode:
            raise _Stopped(*_changed(Path(place), then), *_withheld(recipe), _last(done))
        return Trained.from_json(json.loads((Path(place) / "trained.json").read_text(encoding="utf-8")))


@contextmanager
def _checked_out(session: Session, recipe: Recipe, place: Path) -> Iterator[Path]:
    try:
        checkout_code(session.p.project.root / ".werk" / "code.git", str(recipe.code.get("tree")), place / "code")
    except (InputError, Tampered) as gone:
        raise _Stopped(f"code: {gone.message}") from gone
    yield place / "code"


def _withheld(recipe: Recipe) -> list[str]:
    """Files that the training had and the recorded code has not."""
    left_out = cast("list[str]", recipe.code.get("left_out") or [])
    return [f"code: {name} was left out when the run was recorded" for name in withheld(left_out)]


def _from_elsewhere(recipe: Recipe) -> list[str]:
    """Code that the training ran and that nobody keeps: equal results prove nothing of it."""
    told = cast("dict[str, str]", recipe.code.get("elsewhere") or {})
    return [
        f"code: {name} lay outside the project, its SHA-256 was {sha256[:12]}, and no run keeps it"
        for name, sha256 in told.items()
    ]


def _changed(place: Path, then: Environment) -> list[str]:
    """What differs in the environment of a training that stopped, as far as it had come."""
    said = place / "environment.json"
    if not said.exists():
        return []
    return [f"environment: {line}" for line in differences(then, Environment.from_json(json.loads(said.read_text())))]


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode} and said nothing"]
    return f"the training stopped: {lines[-1]}"


def _told(found: Rebuilt) -> str:
    lines = [f"{found.outcome}: {found.version} recorded {found.recorded}"]
    if found.rebuilt:
        lines.append(f"           rebuilt  {found.rebuilt}" + ("" if found.hashes_equal else "  (another hash)"))
    lines += [f"  {cause}" for cause in found.causes]
    if found.probe is not None and found.probe.largest is not None:
        far, allowed = found.probe.largest, found.probe.tolerance
        lines.append(
            f"  {found.probe.rows} probe predictions lie at most {far:.3g} apart (tolerance {allowed:g}, set at registration)"
        )
    elif found.outcome == "different":
        lines.append("  no probe predictions could be compared")
    return "\n".join(lines)
