"""What every model format promises (see `werk.core.ports.model_format`), one test a promise."""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.core.ports.model_format import Explains, ModelFormat

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """`train` fits an estimator on rows and 0/1 outcomes, the same for the same ones; `missing` says whether NaN may be asked,
    `margin` what a prediction is in the space of attributions: log-odds for a chance."""

    form: ModelFormat
    name: str
    train: Callable[[Matrix, Matrix], object]
    missing: bool = True
    margin: Callable[[Matrix], Matrix] = lambda chance: np.log(chance / (1 - chance))


class ModelFormatSuite:
    """Subclass with a fixture `example`."""

    def test_1_it_owns_its_estimators_only(self, example: Example) -> None:
        assert example.form.owns(_trained(example))
        for other in (None, "tree\n", 1.0, {"coef_": 1}, object(), Example):
            assert not example.form.owns(other)
            with pytest.raises(InputError):
                example.form.dump(other)

    def test_2_a_stored_model_predicts_the_same_bits_and_holds_no_pickle(self, example: Example) -> None:
        model, rows = _trained(example), _questions(example)
        stored = example.form.dump(model)
        assert example.form.predict(example.form.load(stored), rows).tobytes() == example.form.predict(model, rows).tobytes()
        assert not _is_pickle(stored)

    def test_3_the_digest_is_of_what_the_model_is(self, example: Example) -> None:
        model, (rows, outcomes) = _trained(example), _lessons()
        digest = example.form.digest(model)
        assert re.fullmatch(rf"werk-canon/1:{example.name}:[0-9a-f]{{64}}", digest)
        assert example.form.digest(example.form.load(example.form.dump(model))) == digest
        assert example.form.digest(example.train(rows, outcomes)) == digest
        assert example.form.digest(example.train(rows, 1 - outcomes)) != digest

    def test_4_no_prediction_depends_on_its_batch(self, example: Example) -> None:
        model, rows = _trained(example), _questions(example)
        whole = example.form.predict(model, rows)
        assert (whole.dtype, whole.shape) == (np.dtype(np.float64), (len(rows),))
        assert example.form.predict(model, rows[:0]).shape == (0,)
        for size in (1, 3, 64):
            parts = [example.form.predict(model, rows[at : at + size]) for at in range(0, len(rows), size)]
            assert np.concatenate(parts).tobytes() == whole.tobytes()
        backwards = np.asfortranarray(rows[::-1])
        assert example.form.predict(model, backwards)[::-1].tobytes() == whole.tobytes()

    def test_5_damaged_bytes_are_an_input_error(self, example: Example) -> None:
        stored = example.form.dump(_trained(example))
        cuts = [stored[:at] for at in (0, 1, 10, len(stored) // 2, len(stored) - 1)]
        strangers = [b"\x80\x05N.", b"{}", b"[]", b"null", b"\xff" * 50, b"tree\nversion=v4\n", b"[" * 100_000]
        for damaged in (*cuts, *strangers):
            with pytest.raises(InputError):
                example.form.load(damaged)

    def test_5_a_changed_byte_never_ends_the_process(self, example: Example) -> None:
        """Some changes, as of a digit, leave a whole model; a format may load it: the package's hash tells it apart."""
        stored = example.form.dump(_trained(example))
        for at in np.linspace(0, len(stored) - 1, 60).astype(int):
            changed = stored[:at] + bytes([stored[at] ^ 0x15]) + stored[at + 1 :]
            try:
                example.form.load(changed)
            except InputError:
                continue

    def test_attributions_add_up(self, example: Example) -> None:
        if not isinstance(example.form, Explains):
            pytest.skip("explains nothing")
        model, rows = _trained(example), _questions(example)
        margins = example.margin(example.form.predict(model, rows))
        parts = example.form.contributions(model, rows)
        assert parts.shape == (len(rows), rows.shape[1] + 1)
        assert all(math.isclose(math.fsum(row), margin, abs_tol=1e-6) for row, margin in zip(parts, margins, strict=True))


def _lessons() -> tuple[Matrix, Matrix]:
    rows = np.random.default_rng(7).normal(size=(400, 3)) * (1.0, 50.0, 0.01)
    return rows, (rows[:, 0] + rows[:, 1] / 50 > 0).astype(np.float64)


def _trained(example: Example) -> object:
    return example.train(*_lessons())


def _questions(example: Example) -> Matrix:
    rows = np.random.default_rng(8).normal(size=(130, 3)) * (1.0, 50.0, 0.01)
    if example.missing:
        rows[::5, 1] = np.nan
    return rows


def _is_pickle(data: bytes) -> bool:
    try:
        pickletools.dis(data, out=io.StringIO())
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return False
    return True
