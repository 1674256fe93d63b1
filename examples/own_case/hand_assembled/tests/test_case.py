"""No outcome among the features, a split that stays, a contract that sorts."""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from contract import check
from settings import COLUMNS, FEATURES, LEAKS, TARGET
from train import split

from features import matrix

GOOD = dict(zip(["UID", *FEATURES, TARGET], [1, "L", 300.0, 310.0, 1500, 40.0, 5, 0], strict=True))


def test_no_outcome_is_a_feature():
    assert not {TARGET, *LEAKS} & set(FEATURES)


def test_a_row_stays_on_its_side_of_the_split():
    rows = pd.DataFrame({"uid": range(1000)})
    fit, _ = split.fn(rows)
    fewer, _ = split.fn(rows.iloc[::3])
    assert set(fewer["uid"]) <= set(fit["uid"])


def test_a_bad_row_is_quarantined_with_its_rule():
    rows = pd.DataFrame([GOOD, {**GOOD, "UID": 2, "Torque [Nm]": -1}, {**GOOD, "UID": 3, "Type": "X"}])
    good, bad = check(rows)
    assert list(good["UID"]) == [1]
    assert list(bad["broken"]) == ["Torque [Nm] is out of range", "Type is not one of H, L, M"]


def test_an_unknown_category_is_missing():
    row = dict.fromkeys(COLUMNS, 1.0)
    assert pd.isna(matrix(pd.DataFrame([{**row, "type": "X"}]))[0, COLUMNS.index("type")])
