"""Batch scores: as many rows out as in, and ids that a second run gives again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.core.errors import InputError
from werk.core.nouns import ModelVersion, Snapshot
from werk.models.compiled import Model
from werk.models.fit import predict
from werk.serving.score import batch_of, prediction_ids, score

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat(), "memory": MemoryFormat()})
MV = ModelVersion("delay", 1)
AT = Snapshot("curated.flights", 3)
TOY = Model(LinearToy(0.5, (2.0,)), "memory", ("x",), {}, "y", "regression", ("id", "day"))


def toy_rows(n: int = 6) -> pl.DataFrame:
    days = pl.datetime_range(pl.datetime(2013, 1, 1), pl.datetime(2013, 1, 1) + pl.duration(hours=n - 1), "1h", eager=True)
    return pl.DataFrame(
        {"id": [f"k{at % 3}" for at in range(n)], "day": days.dt.replace_time_zone("UTC"), "x": np.arange(n) * 1.0}
    )


def test_a_shuffled_second_run_gives_the_same_table() -> None:
    first = score(P, MV, TOY, toy_rows(), input_snapshot=AT)
    again = score(P, MV, TOY, toy_rows().sample(fraction=1, shuffle=True, seed=1).lazy(), input_snapshot="curated.flights@3")
    assert first.equals(again)
    assert first.columns == ["prediction_id", "model", "version", "canonical_hash", "input_snapshot", "id", "day", "score"]
    assert first["prediction_id"].str.contains("^prd_[0-9a-f]{20}$").all()
    assert first.select("id", "day").rows() == sorted(toy_rows().select("id", "day").rows())
    joined = first.join(toy_rows(), on=["id", "day"])
    assert joined["score"].to_list() == (0.5 + 2 * joined["x"]).to_list()


def test_the_model_the_version_the_input_the_batch_and_the_key_each_change_the_id() -> None:
    base = score(P, MV, TOY, toy_rows(), input_snapshot=AT)["prediction_id"].to_list()
    other_model = replace(TOY, estimator=LinearToy(0.5, (3.0,)))
    others = [
        score(P, MV, other_model, toy_rows(), input_snapshot=AT),
        score(P, MV, TOY, toy_rows(), input_snapshot=Snapshot("curated.flights", 4)),
        score(P, ModelVersion("delay", 2), TOY, toy_rows(), input_snapshot=AT),
        score(P, MV, TOY, toy_rows(), input_snapshot=AT, batch=batch_of(MV, "july", "aa")),
        score(P, MV, TOY, toy_rows(), input_snapshot=AT, batch=batch_of(MV, "august", "aa")),
        score(P, MV, TOY, toy_rows(), input_snapshot=AT, batch=batch_of(MV, "july", "ab")),
        score(P, MV, TOY, toy_rows(), input_snapshot=AT, batch=batch_of(ModelVersion("delay", 2), "july", "aa")),
        score(P, MV, TOY, toy_rows().with_columns(pl.col("day") + pl.duration(seconds=1)), input_snapshot=AT),
    ]
    ids = [*base, *(id for other in others for id in other["prediction_id"])]
    assert len(set(ids)) == len(ids)


def test_a_batch_keeps_its_ids_when_its_rows_come_from_a_newer_table() -> None:
    batch = batch_of(MV, "july", "aa")
    ids = [score(P, MV, TOY, toy_rows(), input_snapshot=f"curated.flights@{at}", batch=batch)["prediction_id"] for at in (3, 4)]
    assert ids[0].equals(ids[1])


def test_keys_that_read_alike_when_joined_have_different_ids() -> None:
    frame = pl.DataFrame({"a": ["1", "12", "1:2", "1"], "b": ["23", "3", "3", "2:3"]})
    assert len(set(prediction_ids(frame, ["a", "b"], "h", "b"))) == 4


def test_a_time_gives_the_same_id_in_every_unit_and_zone() -> None:
    frame = toy_rows()
    for changed in (
        pl.col("day").dt.cast_time_unit("ms"),
        pl.col("day").dt.cast_time_unit("ns"),
        pl.col("day").dt.convert_time_zone("America/New_York"),
    ):
        assert prediction_ids(frame.with_columns(changed), TOY.key, "h", "b") == prediction_ids(frame, TOY.key, "h", "b")


@pytest.mark.parametrize("bad", [pl.lit(None, dtype=pl.String), pl.lit("same")])
def test_a_null_or_tied_key_is_refused(bad: pl.Expr) -> None:
    with pytest.raises(InputError, match="null or not unique"):
        score(P, MV, TOY, toy_rows().with_columns(id=bad, day=pl.col("day").first()), input_snapshot=AT)


def test_no_rows_in_no_rows_out(models: list[Model], frame: pl.DataFrame) -> None:
    out = score(P, MV, models[0], frame.clear(), input_snapshot=AT, with_attributions=5)
    assert (len(out), out.schema["score"], out.schema["attributions"]) == (0, pl.Float64, pl.List(pl.Float64))


def test_the_sample_with_attributions_is_repeatable_and_adds_up(models: list[Model], frame: pl.DataFrame) -> None:
    runs = [
        score(P, MV, models[0], rows, input_snapshot=AT, with_attributions=40)
        for rows in (frame, frame.sample(fraction=1, shuffle=True, seed=5))
    ]
    assert runs[0].equals(runs[1])
    chosen = runs[0].drop_nulls("attributions")
    assert len(chosen) == 40
    margin = np.log(chosen["score"] / (1 - chosen["score"]))
    np.testing.assert_allclose(chosen["attributions"].list.sum(), margin, atol=1e-6)
    assert runs[0]["score"].to_numpy().tobytes() == predict(P, models[0], frame.sort("id")).tobytes()


def test_the_ids_of_a_large_batch_are_all_different() -> None:
    frame = pl.DataFrame({"id": range(170_000), "day": ["2013-07-01"] * 170_000})
    assert len(set(prediction_ids(frame, ["id", "day"], "h", "b"))) == 170_000
