"""Many small linear models in two arrays: what one model per key is made of, without a library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PackedLinear:
    """One linear model for each of `n` keys and, in the last row, the one of all rows, which answers for keys not seen.

    - `key`: which of the `k` columns holds the key, as a code from 0 to n - 1.
    - `centre`, `scale`: (k - 1,) float64, the middle and spread of every other column; a missing value counts as the middle.
    - `intercepts`: (n + 1,) float64; `weights`: (n + 1, k - 1) float64, of the columns once they are centred and scaled.
    """

    key: int
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    weights: NDArray[np.float64]

    def models(self, rows: NDArray[np.float64]) -> NDArray[np.intp]:
        """(r,): which model answers for each row."""
        codes, last = rows[:, self.key], len(self.intercepts) - 1
        with np.errstate(invalid="ignore"):
            known = (codes >= 0) & (codes < last) & (codes == np.floor(codes))
        return np.where(known, np.nan_to_num(codes, posinf=0.0, neginf=0.0), last).astype(np.intp)

    def inputs(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(r, k - 1): every column but the key, centred and scaled, what is missing as 0."""
        others = np.delete(np.asarray(rows, dtype=np.float64), self.key, axis=1)
        return np.nan_to_num((others - self.centre) / self.scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
