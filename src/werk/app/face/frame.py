"""A frame of rows in whichever library the notebook works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl

from werk.app.face.html import block, table
from werk.core.errors import InputError
from werk.pipelines.story.markup import Html
from werk.workflow.frames import from_polars

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SHOWN = 10


class Frame:
    """Rows: `to_polars()`, `to_pandas()`, `to_arrow()`; a column that pandas cannot hold without loss is named."""

    def __init__(self, frame: pl.DataFrame, title: str = "") -> None:
        self._frame = frame
        self._title = title

    def to_polars(self) -> pl.DataFrame:
        return self._frame

    def to_pandas(self) -> pd.DataFrame:
        """`InputError` where pandas is not installed, or names the column it cannot hold."""
        try:
            import pandas
        except ImportError:
            hint = "pip install 'werk[pandas]'; or stay with to_polars(), to_arrow()."
            raise InputError("pandas is not installed here.", code="library-missing", hint=hint) from None
        return cast("pd.DataFrame", from_polars(self._frame, pandas.DataFrame))

    def to_arrow(self) -> pa.Table:
        return self._frame.to_arrow()

    @property
    def columns(self) -> list[str]:
        return self._frame.columns

    def __len__(self) -> int:
        return len(self._frame)

    def __repr__(self) -> str:
        with pl.Config(tbl_rows=SHOWN, tbl_hide_dataframe_shape=True):
            return f"{self._title}{self._frame}\n{len(self):,} rows"

    def _repr_html_(self) -> str:
        return block(self._title, f"{len(self):,} rows", drawn(self._frame))


def drawn(frame: pl.DataFrame) -> Html:
    """The first rows, each column with its type."""
    types = {name: str(dtype) for name, dtype in frame.schema.items()}
    return table(frame.head(SHOWN).to_dicts(), frame.columns, types)
