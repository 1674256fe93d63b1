"""Is every object that a fact names still what was written? Reports, baselines, packages and probes are hashed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from werk.core.canonical import JSON, sha256_hex
from werk.core.errors import InputError
from werk.core.journal import Damage
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform

STORE = "object store"


@dataclass(frozen=True, slots=True)
class Named:
    """An object and the digest that a fact gives it."""

    what: str
    key: str
    sha256: str
    of: str


def damaged(p: Platform, mv: ModelVersion | None = None) -> list[Damage]:
    """One line for each object, of this version or of all, that is gone or was changed."""
    once = {(named.key, named.sha256): named for named in _named(p, mv)}
    return [found for named in once.values() for found in _checked(p, named)]


def _named(p: Platform, mv: ModelVersion | None) -> Iterator[Named]:
    if mv is None:
        for row in p.journal.rows("evaluations", order=("seq",)):
            yield Named("report", str(row["report_key"]), str(row["report_sha256"]), str(row["model"]))
    of_one: dict[str, JSON] = {} if mv is None else {"version": str(mv)}
    for row in p.journal.rows("baselines", of_one, order=("version",)):
        yield Named("baseline", str(row["key"]), str(row["sha256"]), str(row["version"]))
    for row in p.journal.rows("probes", of_one, order=("version",)):
        place = str(row["object"])
        yield Named("probe", place, place.removeprefix("probes/").removesuffix(".json"), str(row["version"]))
    which: dict[str, JSON] = {} if mv is None else {"model": mv.model, "version": mv.version}
    for row in p.journal.rows("versions", which, order=("model", "version")):
        name = f"{row['model']}:{row['version']}"
        yield Named("report", str(row["report_key"]), str(row["report_sha256"]), name)
        yield from _packaged(p, str(row["package_key"]), str(row["manifest_sha256"]), name)


def _packaged(p: Platform, package: str, sha256: str, of: str) -> Iterator[Named]:
    """The manifest, and, where it is the recorded one, each file it signs."""
    manifest = Named("manifest", f"{package}/manifest.json", sha256, of)
    yield manifest
    text = _stored(p, manifest.key)
    if text is not None and sha256_hex(text) == sha256:
        files: dict[str, str] = json.loads(text)["files"]
        yield from (Named("package", f"{package}/{name}", digest, of) for name, digest in files.items())


def _checked(p: Platform, named: Named) -> Iterable[Damage]:
    text = _stored(p, named.key)
    if text is None:
        return [_damage(named, "is gone")]
    return [] if sha256_hex(text) == named.sha256 else [_damage(named, "is not what was recorded")]


def _stored(p: Platform, key: str) -> bytes | None:
    """None where there is none; a name that the store itself refuses is none."""
    try:
        return p.object_store.get([key])[key] if p.object_store.exists([key]) else None
    except InputError:
        return None


def _damage(named: Named, how: str) -> Damage:
    return Damage(STORE, named.key, "content", f"The {named.what} '{named.key}' of {named.of} {how}.")
