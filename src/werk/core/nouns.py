"""The nouns that more than one room speaks of."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from werk.core.errors import InputError

Zone = Literal["landing", "raw", "curated", "product"]
Status = Literal["pending", "approved", "rejected", "retired"]
Assurance = Literal["local-self", "local", "oidc"]
RunStatus = Literal["running", "finished", "failed", "refused", "cancelled"]
Verdict = Literal["ok", "violation", "cannot say", "not checked"]

ZONES: tuple[Zone, ...] = ("landing", "raw", "curated", "product")
_NUMBER = re.compile(r"[0-9]{1,80}")
_SHOWN = 80
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `id` is opaque (`act_...`); `name` lives in an erasable body; `assurance` says how it was proven."""

    id: str
    name: str
    assurance: Assurance
    issued_by: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """One use case: an opaque `id` (two projects may share a name), its name and its folder."""

    id: str
    name: str
    root: Path


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """A table at one version, written `raw.flights@3`."""

    table: str
    version: int

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        table, at, version = text.rpartition("@")
        if not at or not _NUMBER.fullmatch(version):
            raise InputError(
                f"'{_short(text)}' is not a table version.",
                code="snapshot-malformed",
                hint="Write it as table@version, e.g. raw.flights@0.",
            )
        return cls(table, int(version))


@dataclass(frozen=True, slots=True, order=True)
class ModelVersion:
    """A registered version, written `flight-delay:3`."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"

    @classmethod
    def parse(cls, text: str) -> ModelVersion:
        model, colon, version = text.rpartition(":")
        if not colon or not _NUMBER.fullmatch(version):
            raise InputError(
                f"'{_short(text)}' is not a model version.",
                code="version-malformed",
                hint="Write it as model:version, e.g. flight-delay:1.",
            )
        return cls(model, int(version))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(frozen=True, slots=True)
class Usage:
    """What a piece of work took: CPU seconds, wall seconds, peak resident bytes, memory integrated over time (GB-s)."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    gb_s: float


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC; a naive time is refused, and one whose year UTC does not have."""
    if at.tzinfo is None:
        raise InputError(
            f"The time {at.isoformat()} has no time zone.", code="time-naive", hint="Add one, e.g. 2013-07-01T00:00:00+00:00."
        )
    try:
        delta = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        said = f"The time {at.isoformat()} lies outside of the years 1 to 9999 in UTC."
        raise InputError(said, code="time-range", hint="Name a time between them.") from None
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def new_id(prefix: str) -> str:
    """A random opaque id (80 bits) with a readable prefix: `run_5f2c...`."""
    return f"{prefix}_{secrets.token_hex(10)}"


def check_name(what: str, name: str) -> str:
    """Lower-case words joined by `-` or `_`; returns the name or raises `InputError`."""
    if not _NAME.fullmatch(name) or len(name) > 80:
        raise InputError(
            f"'{name}' is not a usable {what} name.",
            code="name-malformed",
            hint="Use lower-case letters, digits, '-' or '_', starting with a letter, at most 80 characters.",
        )
    return name
