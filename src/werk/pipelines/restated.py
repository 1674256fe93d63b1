"""A check that came from the cache says again what it had said: another answer may have been given since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from werk import monitoring
from werk.core.journal import Row
from werk.core.platform import Platform
from werk.core.spec import Spec
from werk.monitoring import MonitorVerdict
from werk.pipelines import steps


def restate(p: Platform, run: str) -> None:
    """Once a run has ended; an answer that stands already is not written again."""
    for step in _from_cache(p, run):
        for mv, said in _answers(p, step):
            monitoring.record(p, mv, [said], run)


def _from_cache(p: Platform, run: str) -> Iterator[Row]:
    cached = p.journal.rows("steps", {"run": run, "status": "cached"})
    if cached:
        spec = Spec.from_json(cast("Mapping[str, object]", p.journal.rows("runs", {"run": run})[0]["spec"]))
        checks = {node.id for node in spec.nodes if node.fn == steps.check.target}
        yield from (step for step in cached if step["step"] in checks)


def _answers(p: Platform, step: Row) -> Iterator[tuple[str, MonitorVerdict]]:
    for output in cast("list[Mapping[str, str]]", step["outputs"]):
        for told in json.loads(p.object_store.get([output["key"]])[output["key"]]):
            said = cast("dict[str, Any]", told)
            yield said.pop("model"), MonitorVerdict(**said)
