"""LightGBM boosters, stored as their model text behind its own hash."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import token_digest
from werk.core.errors import InputError

if TYPE_CHECKING:
    from lightgbm import Booster

_PARAMETERS = re.compile(r"\nparameters:.*?\nend of parameters\n", re.DOTALL)
_MAGIC = b"werk-lightgbm/1 "


class LightGBMFormat:
    def owns(self, estimator: object) -> bool:
        library = sys.modules.get("lightgbm")  # a Booster exists only where its library is loaded
        return library is not None and isinstance(estimator, library.Booster)

    def dump(self, estimator: object) -> bytes:
        text = _text(self._booster(estimator)).encode()
        return _MAGIC + hashlib.sha256(text).hexdigest().encode() + b"\n" + text

    def load(self, data: bytes) -> object:
        """A wrong hash is refused before LightGBM sees a byte: its parser ends the process on some damaged texts."""
        import lightgbm

        head, _, text = data.partition(b"\n")
        if head != _MAGIC + hashlib.sha256(text).hexdigest().encode():
            raise _damaged()
        try:
            return lightgbm.Booster(model_str=text.decode())
        except (ValueError, lightgbm.basic.LightGBMError) as damage:
            raise _damaged() from damage

    def digest(self, estimator: object) -> str:
        return f"werk-canon/1:lightgbm:{token_digest(_PARAMETERS.sub(chr(10), _text(self._booster(estimator))))}"

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._booster(estimator).predict(rows, num_threads=1), dtype=np.float64)

    def contributions(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        booster = self._booster(estimator)
        return np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)

    def _booster(self, estimator: object) -> Booster:
        if not self.owns(estimator):
            raise InputError(
                f"{type(estimator).__name__} is no LightGBM Booster.", code="model-unsupported", hint="Pass `.booster_`."
            )
        return estimator  # type: ignore[return-value]


def _text(booster: Booster) -> str:
    """Up to the best round when training stopped early, for those are the trees that predict."""
    return str(booster.model_to_string(num_iteration=None))


def _damaged() -> InputError:
    return InputError("These bytes are no LightGBM model.", code="model-damaged", hint="Package it again.")
