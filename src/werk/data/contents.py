"""What a table version is made of, recorded when it is written and compared with what lies in the store.

A fact `table.written` keeps name, size and SHA-256 of what its version is read from: all of it, or what it adds to and takes
from the version told before it (`base`), when that one's are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError, Tampered
from werk.core.journal import Damage, Fact, Reader
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.ports.table_store import CheckedTables, Content, TableVersion

Which = Literal["all", "newest", "none"]
Parts = dict[str, Content]

OWN, HELD = "contents", "quarantine_contents"
READ_LIMIT = 1 << 30  # what a step's read hashes before it reads; a larger version is left to the audit
_VACUUM = "VACUUM"


@dataclass(frozen=True, slots=True)
class Checked:
    """What an audit of the tables looked at. `unrecorded` are versions whose fact tells of no contents, as older ones do not;
    `vacuumed` are parts of versions before the newest that a vacuum has taken; `untold` are versions that no fact tells of, which
    nothing reads: somebody else's, or a commit whose writer has not told yet."""

    tables: int
    versions: int
    parts: int
    size_bytes: int
    unrecorded: tuple[str, ...]
    vacuumed: tuple[str, ...]
    untold: tuple[str, ...]
    damages: tuple[Damage, ...]


def recorded(p: Platform, table: str, version: int, *, base: int | None = None) -> dict[str, JSON] | None:
    """What the fact of a version keeps: all of it, or the difference to a `base` whose own are recorded; None when the store
    cannot tell."""
    store = p.table_store
    if not isinstance(store, CheckedTables):
        return None
    if base is not None and _of(p.journal, Snapshot(table, base)) is None:
        base = None
    before = frozenset[str]() if base is None else store.contents(table, base)
    now = store.contents(table, version)
    added: list[JSON] = [_written(store, table, part) for part in sorted(now - before)]
    return {"base": base, "added": added, "removed": sorted(before - now)}


def _written(store: CheckedTables, table: str, part: str) -> dict[str, JSON]:
    content = store.content(table, part)
    if content is None:
        raise InputError(f"'{table}' lacks {part}, just written.", code="table-damaged", hint="Look who else writes there.")
    return {"name": part, "size_bytes": content.size_bytes, "sha256": content.sha256}


def check_read(p: Platform, snapshot: Snapshot) -> None:
    """Raises `Tampered` when a version is not what was written; one without record or above `READ_LIMIT` is left to the audit."""
    for sentence in _wrong_with(p, snapshot):
        raise _changed(sentence)


def check_added(p: Platform, snapshot: Snapshot) -> None:
    """Raises `Tampered` when what a version added is not what was written: another commit under its number, perhaps."""
    store, told = p.table_store, _of(p.journal, snapshot)
    if told is None or not isinstance(store, CheckedTables):
        return
    for part, wanted in _after({}, {**told, "removed": []}).items():
        found = store.content(snapshot.table, part)
        if found != wanted:
            raise _changed(_sentence(snapshot, part, found, wanted))


def _changed(sentence: str) -> Tampered:
    hint = "Restore the table from a backup; `werk audit verify` checks them all."
    return Tampered(sentence, code="table-tampered", hint=hint)


def tampered(p: Platform, snapshots: Iterable[str]) -> list[str]:
    """A sentence for everything in these versions that is not what was written, as far as a read would look."""
    return [sentence for text in sorted(snapshots) for sentence in _wrong_with(p, Snapshot.parse(text))]


def _wrong_with(p: Platform, snapshot: Snapshot) -> Iterator[str]:
    store, expected = p.table_store, _expected(p.journal, snapshot)
    if not isinstance(store, CheckedTables) or expected is None:
        return
    if sum(content.size_bytes for content in expected.values()) > READ_LIMIT:
        return
    for damage in _differences(store, snapshot, expected, lambda part: store.content(snapshot.table, part)):
        yield damage.sentence


def _expected(journal: Reader, snapshot: Snapshot) -> Parts | None:
    """The parts of a version as the facts tell of them; None when one of them tells nothing."""
    chain: list[Mapping[str, JSON]] = []
    base: JSON = snapshot.version
    while base is not None:
        told = _of(journal, Snapshot(snapshot.table, cast("int", base)))
        if told is None:
            return None
        chain.append(told)
        base = told["base"]
    return reduce(_after, reversed(chain), Parts())


def is_vacuum(entry: TableVersion) -> bool:
    """A version in which only files went that no newer one reads; its rows are those of the version before."""
    return entry.operation.startswith(_VACUUM)


def _of(journal: Reader, snapshot: Snapshot) -> Mapping[str, JSON] | None:
    """What the fact of a version says of its contents; a quarantine's are in the facts of the table it belongs to."""
    found = next(journal.facts(kinds=("table.written",), dedupe_key=f"table/{snapshot}"), None)
    body = found.body if found is not None else None
    if body is None:
        landing = journal.rows("table_versions", {"quarantine": str(snapshot)}, order=("version",), limit=1)
        return _held(journal, landing[0]) if landing else None
    return cast("Mapping[str, JSON] | None", body.get(OWN))


def _held(journal: Reader, landing: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    key = f"table/{landing['table']}@{landing['version']}"
    found = next(journal.facts(kinds=("table.written",), dedupe_key=key), None)
    return cast("Mapping[str, JSON] | None", (found.body or {}).get(HELD)) if found else None


def _after(before: Parts, told: Mapping[str, JSON]) -> Parts:
    removed = set(cast("list[str]", told["removed"]))
    added = cast("list[dict[str, JSON]]", told["added"])
    kept = {part: content for part, content in before.items() if part not in removed}
    return kept | {str(a["name"]): Content(cast("int", a["size_bytes"]), str(a["sha256"])) for a in added}


def audit(p: Platform, which: Which = "all") -> Checked:
    """Compare every version that the journal tells of with what lies in the store, or only the newest of each table."""
    facts = [] if which == "none" else list(p.journal.facts(kinds=("table.written",)))
    by_table: dict[str, dict[int, Mapping[str, JSON] | None]] = {}
    for snapshot, told in (found for fact in facts for found in _told(fact)):
        by_table.setdefault(snapshot.table, {}).setdefault(snapshot.version, told)
    walks = [_Walk(p, table) for table in sorted(by_table)]
    for walk in walks:
        walk.follow(by_table[walk.table], newest_only=which == "newest")
    return Checked(
        len(walks),
        sum(walk.versions for walk in walks),
        sum(len(walk.found) for walk in walks),
        sum(content.size_bytes for walk in walks for content in walk.found.values() if content),
        tuple(text for walk in walks for text in walk.unrecorded),
        tuple(dict.fromkeys(text for walk in walks for text in walk.vacuumed)),
        tuple(text for walk in walks for text in walk.untold),
        tuple(damage for walk in walks for damage in walk.damages),
    )


def _told(fact: Fact) -> Iterator[tuple[Snapshot, Mapping[str, JSON] | None]]:
    """The versions a fact tells of: its table's, and that of the quarantine beside it."""
    if fact.body is None:
        return
    yield Snapshot(fact.subject, cast("int", fact.body["version"])), cast("Mapping[str, JSON] | None", fact.body.get(OWN))
    if fact.body.get("quarantine"):
        yield Snapshot.parse(str(fact.body["quarantine"])), cast("Mapping[str, JSON] | None", fact.body.get(HELD))


class _Walk:
    """One table, version by version; a part is hashed once, however many versions are made of it."""

    def __init__(self, p: Platform, table: str) -> None:
        self._p, self.table = p, table
        self.found: dict[str, Content | None] = {}
        self.versions = 0
        self.unrecorded: list[str] = []
        self.vacuumed: list[str] = []
        self.untold: list[str] = []
        self.damages: list[Damage] = []

    def follow(self, told: Mapping[int, Mapping[str, JSON] | None], *, newest_only: bool) -> None:
        newest, before = max(told), (-1, Parts())
        self.untold += self._untold(told, newest if newest_only else -1)
        for version, contents in sorted(told.items()):
            expected = _next(before, contents)
            before = (version, expected) if expected is not None else (-1, {})
            if expected is None:
                self.unrecorded.append(f"{self.table}@{version}")
            elif version == newest or not newest_only:
                self._check(Snapshot(self.table, version), expected, newest=version == newest)

    def _untold(self, told: Container[int], after: int) -> list[str]:
        try:
            history = self._p.table_store.history(self.table, after=after)
        except InputError:
            return []  # gone or damaged: its parts say so
        strange = [entry for entry in history if entry.version not in told and not is_vacuum(entry)]
        return [f"{self.table}@{entry.version}" for entry in reversed(strange)]

    def _check(self, snapshot: Snapshot, expected: Parts, *, newest: bool) -> None:
        self.versions += 1
        store = self._p.table_store
        if not isinstance(store, CheckedTables):
            self._add(_damage(snapshot, "", f"{snapshot} cannot be checked: this table store tells nothing of its parts."))
            return
        for damage in _differences(store, snapshot, expected, self._content):
            gone = damage.column in self.found and self.found[damage.column] is None
            if gone and not newest and self._is_vacuumed():
                self.vacuumed.append(f"{self.table}: {damage.column}")
            else:
                self._add(damage)

    def _content(self, part: str) -> Content | None:
        if part not in self.found:
            self.found[part] = cast("CheckedTables", self._p.table_store).content(self.table, part)
        return self.found[part]

    def _is_vacuumed(self) -> bool:
        try:
            return any(is_vacuum(entry) for entry in self._p.table_store.history(self.table))
        except InputError:
            return False

    def _add(self, damage: Damage) -> None:
        """A part that is wrong in many versions is told once, with the first of them."""
        if not any(known.column == damage.column and damage.column for known in self.damages):
            self.damages.append(damage)


def _next(before: tuple[int, Parts], told: Mapping[str, JSON] | None) -> Parts | None:
    """The parts of the version after; None when its fact tells nothing, or counts on one that tells nothing."""
    if told is None or told["base"] not in (None, before[0]):
        return None
    return _after({} if told["base"] is None else before[1], told)


def _differences(
    store: CheckedTables, snapshot: Snapshot, expected: Parts, content: Callable[[str], Content | None]
) -> Iterator[Damage]:
    """Every part that is gone, is another one or was not written, one damage each."""
    whole = True
    for part, wanted in sorted(expected.items()):
        found = content(part)
        if found != wanted:
            whole = False
            yield _damage(snapshot, part, _sentence(snapshot, part, found, wanted))
    try:
        present = store.contents(snapshot.table, snapshot.version)
    except InputError as closed:
        if whole:
            yield _damage(snapshot, "", f"{snapshot} is not what was written: {closed.message}")
        return
    for part in sorted(present - expected.keys()):
        yield _damage(snapshot, part, f"{snapshot} is not what was written: nobody recorded its {part}.")
    for part in sorted(expected.keys() - present if whole else ()):
        yield _damage(snapshot, part, f"{snapshot} is not what was written: it no longer reads {part}.")


def _sentence(snapshot: Snapshot, part: str, found: Content | None, wanted: Content) -> str:
    said = "is gone" if found is None else _other(found, wanted)
    return f"{snapshot} is not what was written: {part} {said}."


def _other(found: Content, wanted: Content) -> str:
    if found.size_bytes != wanted.size_bytes:
        return f"has {found.size_bytes:,} bytes, not {wanted.size_bytes:,}"
    return f"has sha256 {found.sha256[:12]}, not {wanted.sha256[:12]}"


def _damage(snapshot: Snapshot, part: str, sentence: str) -> Damage:
    return Damage(snapshot.table, f"version={snapshot.version}", part, sentence)
