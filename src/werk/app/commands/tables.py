"""Tables: land a file, list them, ask them."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from werk import data
from werk.app.answers import Answer
from werk.app.commands.past import reader
from werk.app.wiring import PROJECTIONS, Session, opened
from werk.core.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def ingest(table: str, source: Path, project: Path | None, profile: str | None, like: str | None = None) -> Answer:
    data.check_table(table)
    with opened(project, profile, writes=True) as session:
        contract = _as_of_another(session, table, like) if like else contract_of(session, table)
        landing = data.land(session.p, table, source, contract=contract)
    record = {**asdict(landing), "quarantine": str(landing.quarantine) if landing.quarantine else None}
    record["contract_sha256"] = contract.sha256 if contract else None
    return Answer(record=record, text="\n".join([*said(landing), *([] if contract else _unchecked(table))]))


def _unchecked(table: str) -> list[str]:
    return [
        "  no contract: nothing was checked",
        f"  next: say what a row must be in contracts/{table}.yaml (ODCS 3.1, as in a project of `werk init`), and land it again",
    ]


def _as_of_another(session: Session, table: str, like: str) -> data.Contract:
    """New rows of an old kind are held to what the old ones were."""
    found = contract_of(session, like)
    if found is None:
        hint = f"Contracts are files: contracts/{like}.yaml."
        raise InputError(f"There is no contract for {like}.", code="contract-missing", hint=hint)
    return replace(found, table=table)


def contract_of(session: Session, table: str) -> data.Contract | None:
    path = session.p.project.root / "contracts" / f"{table}.yaml"
    return data.load_contract(path) if os.path.lexists(path) else None


def said(landing: data.Landing) -> list[str]:
    """What landed in a line, and a line for each rule that some rows break."""
    state = "unchanged" if landing.unchanged else "landed"
    held = f", {landing.rows_quarantined:,} in {landing.quarantine}" if landing.quarantine and landing.rows_quarantined else ""
    first = f"{landing.table}@{landing.version} {state}: {landing.rows_in:,} rows in, {landing.rows_landed:,} landed{held}"
    rules = [f"  {check.severity:<8} {check.sentence}" for check in landing.checks if check.broken]
    return [first, *rules, *([] if landing.rows_in else [_emptied(landing)])]


def _emptied(landing: data.Landing) -> str:
    """A delivery without a row may be meant, or be a file that somebody cut short."""
    before = f"; {landing.table}@{landing.version - 1} holds what was there" if landing.version else ""
    return f"  {landing.table} is empty now{before}"


def tables(as_of: str | None, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        then = reader(session, as_of)
        own = [{**row, "kind": "table"} for row in data.standing(then)]
        held = [{**row, "kind": "quarantine"} for row in data.quarantines(then)]
    rows = sorted([*own, *held], key=lambda row: str(row["table"]))
    return Answer(rows=rows, columns=("table", "kind", "version", "rows", "quarantined", "broken_most", "owner"))


def set_back(table: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile, writes=True) as session:
        made = data.set_back(session.p, table)
        [row] = [row for row in data.standing(session.p.journal) if row["table"] == table]
    at, before = f"{table}@{row['version']}", cast("dict[str, str]", row["notes"]).get("set_back_to")
    text = f"{at} has the {row['rows']:,} rows of {before} again" if made else f"{at} is the newest already"
    return Answer(record={"table": table, "version": row["version"], "rows": row["rows"], "unchanged": made is None}, text=text)


def sql(query: str, project: Path | None, profile: str | None) -> Answer:
    """Over the tables, and over the journal's own as `journal.runs`, `journal.metadata`, `journal.facts` ..."""
    with opened(project, profile) as session:
        frame = asked(session, query)
    return Answer(rows=frame.to_dicts(), columns=tuple(frame.columns))


def asked(session: Session, query: str) -> pl.DataFrame:
    from werk.pipelines.metadata import metadata

    found = data.metadata(session.p.journal, PROJECTIONS) | {"metadata": partial(metadata, session.p, session.prices)}
    return data.sql(session.p, query, beside={f"journal.{name}": load for name, load in found.items()})
