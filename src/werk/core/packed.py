"""Many small linear models in two arrays: what one model per key is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
