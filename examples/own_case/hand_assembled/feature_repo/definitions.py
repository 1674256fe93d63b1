"""The features of a machine's part, by its number."""

import os
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

DATA = os.environ["CASE_DATA"]

part = Entity(name="part", join_keys=["uid"], value_type=ValueType.INT64)  # decided


def view(name: str) -> FeatureView:
    source = FileSource(
        name=f"{name}_rows", path=f"{DATA}/{name}.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    return FeatureView(
        name=name,
        entities=[part],
        ttl=timedelta(days=3650),  # decided
        schema=[
            Field(name="type", dtype=String),
            Field(name="air_temperature", dtype=Float64),
            Field(name="process_temperature", dtype=Float64),
            Field(name="rotational_speed", dtype=Int64),
            Field(name="torque", dtype=Float64),
            Field(name="tool_wear", dtype=Int64),
        ],
        source=source,
        online=True,
    )


history = view("history")
later = view("later")
