"""One table at one version: its rows, its schema, what its contract found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from werk import data
from werk.app.commands.past import reader
from werk.app.face.frame import Frame, drawn
from werk.app.face.html import block, table
from werk.app.face.project import Project
from werk.app.wiring import Session
from werk.core.errors import unknown
from werk.core.journal import Reader, Row
from werk.pipelines.story.markup import Html, joined, tag

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

HEAD = 10


class Table:
    """`version`, `rows`, `schema` (Polars' types) and `checks` of the contract; rows are read, and hashed, when asked for."""

    def __init__(self, project: Project, name: str, version: int | None = None, as_of: str | None = None) -> None:
        self._project = project
        self.name = name
        with project.session() as session:
            self._row = _row(session, reader(session, as_of), name, version)
            columns = data.scan(session.p, name, cast("int", self._row["version"])).collect_schema()
        self.schema: Mapping[str, str] = {column: str(dtype) for column, dtype in columns.items()}
        self.version = cast("int", self._row["version"])
        self.rows = cast("int", self._row["rows"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        """What each rule of the contract found when this version landed; empty for a table that a step wrote."""
        return cast("list[dict[str, Any]]", self._row["checks"] or [])

    @property
    def columns(self) -> list[str]:
        return list(self.schema)

    def head(self, n: int = HEAD) -> Frame:
        return Frame(self._read(n))

    def to_polars(self) -> pl.DataFrame:
        """All rows. Raises `Tampered` when the files are not those that were written."""
        return self._read(None)

    def to_pandas(self) -> pd.DataFrame:
        return Frame(self.to_polars()).to_pandas()

    def to_arrow(self) -> pa.Table:
        return self.to_polars().to_arrow()

    def __len__(self) -> int:
        return self.rows

    def _read(self, most: int | None) -> pl.DataFrame:
        with self._project.session() as session:
            rows = data.Pinned(session.p, {self.name: self.version}).scan(self.name)
            return (rows if most is None else rows.head(most)).collect()

    def __repr__(self) -> str:
        broken = [str(check["sentence"]) for check in self.checks if check["broken"]]
        told = "".join(f"\n  {sentence}" for sentence in broken) or (
            "\n  every rule of its contract holds" if self.checks else ""
        )
        with pl.Config(tbl_rows=HEAD, tbl_hide_dataframe_shape=True):
            return f"{self.name}@{self.version}  {self.rows:,} rows{told}\n{self._read(HEAD)}"

    def _repr_html_(self) -> str:
        return block(f"{self.name}@{self.version}", f"{self.rows:,} rows", self._contract(), drawn(self._read(HEAD)))

    def _contract(self) -> Html:
        """The rules that some rows break, and how many hold."""
        if not self.checks:
            return tag("div", "no contract checked this version", class_="soft")
        broken = [check for check in self.checks if check["broken"]]
        held = tag("div", f"{len(self.checks) - len(broken)} of {len(self.checks)} rules of its contract hold", class_="soft")
        found = [{"rule": c["rule"], "severity": c["severity"], "rows": c["broken"], "says": c["sentence"]} for c in broken]
        return joined([held, *([table(found, ("rule", "severity", "rows", "says"))] if broken else ())])


def _row(session: Session, then: Reader, name: str, version: int | None) -> Row:
    """The version's own row, with all the rows the table has at it where it is the newest."""
    standing = {str(row["table"]): row for row in data.standing(then)}
    if name not in standing:
        raise unknown("table", name, standing, code="table-unknown")
    if version in (None, standing[name]["version"]):
        return standing[name]
    found = then.rows("table_versions", {"table": name, "version": version})
    if not found:
        known = [str(row["version"]) for row in then.rows("table_versions", {"table": name})]
        raise unknown(f"version of {name}", str(version), known, code="version-unknown")
    return found[0]
