"""What a monitor says about one window of one model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from werk.core.canonical import JSON

Answer = Literal["ok", "violation", "cannot say", "not checked"]


@dataclass(frozen=True, slots=True)
class MonitorVerdict:
    monitor: str
    window: str
    verdict: Answer
    sentence: str
    values: Mapping[str, JSON] = field(default_factory=dict)
