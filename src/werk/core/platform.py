"""The bound ports, the journal and the actor it acts for: the first argument of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from werk.core.journal import Journal
from werk.core.nouns import Actor, Project
from werk.core.ports.identity import Identity
from werk.core.ports.key_store import KeyStore
from werk.core.ports.meter import Meter
from werk.core.ports.model_format import ModelFormat
from werk.core.ports.object_store import ObjectStore
from werk.core.ports.table_store import TableStore


@dataclass(frozen=True, slots=True)
class Platform:
    """Built only by `app.wiring`. `model_format` holds every installed format by name; the rest is one adapter per port."""

    project: Project
    actor: Actor
    stage: str
    journal: Journal
    table_store: TableStore
    object_store: ObjectStore
    key_store: KeyStore
    identity: Identity
    model_format: Mapping[str, ModelFormat]
    meter: Meter
