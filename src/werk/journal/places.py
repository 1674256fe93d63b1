"""Which journal this machine has met at which place: what a database says of itself is held against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from werk.core.canonical import canonical_json, sha256_hex
from werk.core.journal import Head
from werk.core.nouns import to_micros, utc_now
from werk.journal import lines

FILE = "places.jsonl"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of `<heads_dir>/places.jsonl`: the last one of an address and a project counts.

    `seq` and `hash` are the journal's head when it was met there; `heads` names the file of heads signed there since.
    """

    address: str
    project: str
    journal: str
    heads: str
    seq: int
    hash: str
    at: int

    @property
    def met(self) -> Head:
        return Head(self.seq, self.hash)

    @property
    def is_left(self) -> bool:
        """Nothing lies at the address any more; of a server nobody can tell, and it counts as there."""
        return "://" not in self.address and not Path(self.address).exists()


def known(heads_dir: Path | None) -> dict[tuple[str, str], Place]:
    """Every place by address and project."""
    return {(place.address, place.project): place for place in _read(heads_dir / FILE)} if heads_dir is not None else {}


def _read(path: Path) -> Iterator[Place]:
    for line in lines.read(path):
        try:
            yield Place(**lines.fields(line))  # type: ignore[arg-type]  # a line of other fields is none of ours
        except TypeError:  # torn by a crash: the process that wrote it had not gone on
            continue


def remember(heads_dir: Path, address: str, project: str, journal: str, heads: str, head: Head) -> Place:
    """This journal is the place's from now on."""
    place = Place(address, project, journal, heads, head.seq, head.hash, to_micros(utc_now()))
    lines.append(heads_dir / FILE, [canonical_json(asdict(place))])
    return place


def own_name(journal: str, address: str) -> str:
    """The name of a heads file for one address alone: copies of a journal have its id, and each its own heads."""
    return f"{journal}.{sha256_hex(address)[:12]}.jsonl"


def restored(heads_dir: Path, address: str, project: str, journal: str, heads: str, head: Head) -> None:
    """A restore has put this journal here, for every project that was met here."""
    there = {place.project for place in known(heads_dir).values() if place.address == address}
    for name in sorted(there | {project}):
        remember(heads_dir, address, name, journal, heads, head)


def is_met(heads_dir: Path, journal: str, address: str) -> bool:
    """Whether this machine keeps heads of the journal, or of another one at this address."""
    here = any(place.address == address for place in known(heads_dir).values())
    return here or any(heads_dir.glob(f"{journal}*.jsonl"))


def set_aside(heads_dir: Path, journal: str, address: str) -> Path | None:
    """Rename the heads of what a restore replaces, so that it is not held against them; living copies keep theirs."""
    places = known(heads_dir).values()
    here = {place.heads for place in places if place.address == address}
    living = {place.heads for place in places if "://" not in place.address and not place.is_left} - here
    gone = {path.name for path in heads_dir.glob(f"{journal}*.jsonl")} - living | here
    moved = [_renamed(heads_dir / name) for name in sorted(gone) if (heads_dir / name).exists()]
    return moved[0] if moved else None


def _renamed(path: Path) -> Path:
    at = 1
    while (free := path.with_name(f"{path.stem}.set-aside-{at}")).exists():
        at += 1
    return path.rename(free)
