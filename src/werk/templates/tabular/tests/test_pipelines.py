"""What must hold of the columns and the split, whatever the data."""

import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipelines import CATEGORIES, FEATURES, KEY, TARGET, TIME, split

ROWS = pl.DataFrame({TARGET: [0, 1] * 500} | {name: range(1000) for name in (*KEY, *([TIME] if TIME else []))})


def test_neither_outcome_nor_key_is_a_feature():
    assert not {TARGET, *KEY} & set(FEATURES)
    assert set(CATEGORIES) <= set(FEATURES)


def test_the_newest_are_held_out_or_a_row_stays_on_its_side_of_the_split():
    fit, held_out = split(ROWS.sample(fraction=1.0, shuffle=True, seed=1), 0.3)
    assert 200 < len(held_out) < 400
    assert not TIME or fit[TIME].max() < held_out[TIME].min()
    fewer, _ = split(ROWS.gather_every(3), 0.3)
    assert TIME or fewer.join(fit, on=KEY, how="anti").is_empty()


def test_rows_whose_outcome_is_unknown_are_left_out():
    unknown = ROWS.with_columns(pl.lit(None, pl.Int64).alias(TARGET))
    assert [len(part) for part in split(unknown, 0.3)] == [0, 0]
