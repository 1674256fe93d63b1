"""What a use case is for, whom it affects and how risky it is: written down before any model is registered."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from werk.core.canonical import JSON, digest_of
from werk.core.errors import InputError, Refused, unknown
from werk.core.journal import NewFact, Reader
from werk.core.platform import Platform

UNCHECKED = "# check this"  # behind a value that was guessed from data, until a person has judged it
_GUESSED = re.compile(rf"^\s*(\w+)\s*=.*{UNCHECKED}", re.MULTILINE)
RiskClass = Literal["minimal", "limited", "high", "unacceptable"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan artefact. `risk_class` uses the four classes of Regulation (EU) 2024/1689."""

    goal: str
    owner: str
    risk_class: RiskClass
    success_metric: str
    affected_people: str
    human_oversight: str = ""
    personal_data: str = ""
    limitations: str = ""

    @property
    def sha256(self) -> str:
        """Of what it says, so that comments and line ends do not count."""
        return digest_of(asdict(self))


def load_plan(path: Path) -> Plan:
    """The plan in a TOML file; `InputError` names what is missing, misspelt, not text, or a guess that nobody has checked."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"There is no plan at {path}.", code="plan-absent", hint="Write plan.toml: " + _needed()) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise InputError(f"{path.name} is not TOML: {broken}.", code="plan-malformed", hint="Mend it and try again.") from None
    plan = _plan(table, path.name)
    if guessed := _GUESSED.findall(text):
        raise InputError(
            f"Of {path.name} nobody has checked yet: {', '.join(guessed)}.",
            code="plan-unchecked",
            hint=f"Read each line, write what is true, and take its '{UNCHECKED}' away.",
        )
    return plan


def check_risk(plan: Plan) -> None:
    """An unacceptable risk is `Refused`."""
    if plan.risk_class == "unacceptable":
        raise Refused(
            "The plan's risk class is 'unacceptable'.",
            code="risk-unacceptable",
            hint="Such a use is prohibited: change the use case.",
        )


def record_plan(p: Platform, plan: Plan) -> bool:
    """Write the plan unless it is the present one; true when it was written. An unacceptable risk is `Refused`."""
    check_risk(plan)
    with p.journal.write() as facts:
        # Not by dedupe key: a plan that was replaced and then restored is a new fact.
        if recorded_plan(facts, p.project.id) == plan.sha256:
            return False
        body: dict[str, JSON] = {**asdict(plan), "sha256": plan.sha256}
        facts.append([NewFact("plan.recorded", p.project.id, body)])
    return True


def recorded_plan(journal: Reader, project_id: str) -> str | None:
    """The SHA-256 of the present plan, None when there is none."""
    rows = journal.rows("plans", {"subject": project_id})
    return str(rows[0]["sha256"]) if rows else None


def _plan(table: Mapping[str, object], file: str) -> Plan:
    names = [field.name for field in fields(Plan)]
    for name in table:
        if name not in names:
            raise unknown(f"field of {file}", name, names, code="plan-field-unknown")
    for field in fields(Plan):
        if field.default is MISSING and not table.get(field.name):
            raise InputError(f"{file} does not say '{field.name}'.", code="plan-incomplete", hint="A plan needs " + _needed())
    texts = {name: _text(name, value, file) for name, value in table.items()}
    if texts["risk_class"] not in get_args(RiskClass):
        raise unknown("risk class", texts["risk_class"], get_args(RiskClass), code="risk-class-unknown")
    return Plan(**texts)  # type: ignore[arg-type]  # the names and the risk class have just been checked


def _text(name: str, value: object, file: str) -> str:
    """A text, or a list of texts joined by commas."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if not isinstance(value, str):
        raise InputError(f"'{name}' in {file} must be text.", code="plan-malformed", hint=f'Write {name} = "..."')
    if not value.strip():
        raise InputError(f"{file} does not say '{name}'.", code="plan-incomplete", hint="Fill it in.")
    return value.strip()


def _needed() -> str:
    return ", ".join(field.name for field in fields(Plan) if field.default is MISSING) + "."
