"""The only place where names become objects: settings in, a bound platform out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import cast

from werk import data, features, governance, journal, models, monitoring, pipelines, registry, workflow
from werk.app import step_memory, step_output
from werk.app.apart import Part
from werk.app.settings import Settings, find_root, load_settings, shared
from werk.core import plugins
from werk.core.errors import InputError, Refused, WerkError
from werk.core.journal import Projection
from werk.core.nouns import Actor
from werk.core.platform import Platform
from werk.core.ports.engine import Engine, Progress
from werk.core.ports.identity import Identity, Proof
from werk.core.ports.key_store import KeyStore
from werk.core.ports.meter import Meter
from werk.core.ports.model_format import ModelFormat
from werk.core.ports.object_store import ObjectStore
from werk.core.ports.table_store import TableStore
from werk.journal import SqlJournal, Upcasts
from werk.monitoring import Prices
from werk.serving import facts as serving_facts
from werk.workflow import Pipeline, Resource, StepContext
from werk.workflow.capture import file_secrets, mask
from werk.workflow.triggers import TRIGGER_PROJECTIONS

KEY = "werk"
TOKEN = "WERK_TOKEN"

PROJECTIONS: tuple[Projection, ...] = (
    *governance.PROJECTIONS,
    *workflow.PROJECTIONS,
    *data.PROJECTIONS,
    *registry.PROJECTIONS,
    *serving_facts.PROJECTIONS,
    *monitoring.PROJECTIONS,
    *pipelines.PROJECTIONS,
    *TRIGGER_PROJECTIONS,
)

# What a room says of older bodies of its facts stands beside its PROJECTIONS; so far none has changed a body.
UPCASTS: Upcasts = {}

# Every kind a trigger can name besides a project's own: what is read into a projection, and what is not.
KINDS = frozenset({*(kind for shape in PROJECTIONS for kind in shape.kinds), "drift.detected", "project.restored", "body.erased"})

RESOURCES: Mapping[str, Resource] = {
    "p": lambda p, context: p,
    "context": lambda p, context: context,
    "tables": lambda p, context: data.Pinned(p, context.pins, context.read),
    "features": lambda p, context: features.Features(data.Pinned(p, context.pins, context.read)),
}


@dataclass(frozen=True, slots=True)
class Session:
    """An opened project: the platform, its settings and the journal behind it."""

    p: Platform
    settings: Settings
    journal: SqlJournal
    notices: tuple[str, ...] = ()

    @property
    def prices(self) -> Prices | None:
        """The price file [prices]; None when there is none."""
        return Prices.from_mapping(self.settings.prices) if self.settings.prices else None

    @property
    def codecs(self) -> tuple[workflow.Codec, ...]:
        """How models travel between steps."""
        of = models.model_codec
        return (workflow.Codec(of.kind, of.owns, of.dump, of.load, of.digest),)

    @property
    def resources(self) -> dict[str, Resource]:
        """What steps may ask for by name."""
        prices = self.prices
        return {**RESOURCES, "prices": lambda p, context: prices}

    def engine(self, progress: Callable[[Progress], None] | None = None, *, keeps_output: bool = True) -> Engine[Pipeline]:
        """What [engine] names, built on this platform; it keeps what each step prints unless a debugger wants the terminal."""
        covered = partial(mask, values=file_secrets(self.p.project.root))
        bound: dict[str, object] = {
            "p": self.p,
            "resources": self.resources,
            "codecs": self.codecs,
            "mask": covered,
            "progress": progress,
        }
        if keeps_output:
            bound["kept"] = _kept(self.p.project.root, covered)
        return cast("Engine[Pipeline]", built(self.settings, "engine", **bound))


def _kept(root: Path, covered: Callable[[str], str]) -> Callable[[StepContext], AbstractContextManager[None]]:
    """What a step's work is done in: what it prints and what it holds in memory are kept."""
    output, memory = step_output.keeper(root, covered), step_memory.watcher(root)

    @contextmanager
    def both(context: StepContext) -> Iterator[None]:
        with memory(context), output(context):  # the folder goes when both have left nothing in it
            yield

    return both


@contextmanager
def opened(project: Path | None = None, profile: str | None = None, *, writes: bool = False) -> Iterator[Session]:
    """Open a project as whoever runs this process, or as the holder of WERK_TOKEN; what was written is signed at the end.

    What is sure to write ends here when it may not, before any work is done.
    """
    session = open_session(find_root((project or Path.cwd()).resolve()), profile)
    with session.journal, _SignedAtTheEnd(session.journal):
        if writes and session.journal.database.sealed is not None:
            raise session.journal.database.sealed
        for notice in (*session.settings.notices, *session.notices):
            _say_once(f"warning: {notice}")
        yield session


@dataclass(frozen=True, slots=True)
class _SignedAtTheEnd:
    """What was written counts, however the block ended; a journal that may not be written is not signed."""

    log: SqlJournal

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.log.database.sealed is None:
            with suppress(WerkError) if error is not None else nullcontext():  # what went wrong first is what is told
                journal.sign_head(self.log)


@cache
def _say_once(text: str) -> None:
    """However often a process opens the project."""
    print(text, file=sys.stderr)


@contextmanager
def onlooker(project: Path | None = None, profile: str | None = None) -> Iterator[Session]:
    """A project for whoever only looks: nothing is made, enrolled, brought up to date or signed."""
    settings = load_settings(find_root((project or Path.cwd()).resolve()), profile)
    stores = _stores(settings)
    with _journal(settings, read_only=True) as log:
        yield Session(_platform(settings, stores, log, Actor("act_onlooker", "onlooker", "local")), settings, log)


def open_session(root: Path, profile: str | None = None) -> Session:
    return open_with(load_settings(root, profile))


def open_with(settings: Settings) -> Session:
    _make_room(settings)
    stores = _stores(settings)
    log = _journal(settings)
    with ExitStack() as undo:
        undo.callback(log.close)
        notices = tuple(_met(log))
        actor = _enrolled(log, stores.identity.prove(os.environ.get(TOKEN) or None))
        undo.pop_all()
    bound = log.bound_to(actor=actor.id)
    return Session(_platform(settings, stores, bound, actor), settings, bound, notices)


@dataclass(frozen=True, slots=True)
class _Stores:
    """What is built before the journal is opened, so that a wrong setting leaves nothing behind."""

    table_store: TableStore
    object_store: ObjectStore
    key_store: KeyStore
    identity: Identity
    meter: Meter


def _stores(settings: Settings) -> _Stores:
    return _Stores(
        cast("TableStore", built(settings, "table_store")),
        objects(settings),
        cast("KeyStore", built(settings, "key_store")),
        cast("Identity", built(settings, "identity")),
        cast("Meter", built(settings, "meter")),
    )


def _platform(settings: Settings, stores: _Stores, log: SqlJournal, actor: Actor) -> Platform:
    return Platform(
        project=settings.project,
        actor=actor,
        stage=settings.profile,
        journal=log,
        table_store=stores.table_store,
        object_store=stores.object_store,
        key_store=stores.key_store,
        identity=stores.identity,
        model_format=Formats(),
        meter=stores.meter,
    )


def _journal(settings: Settings, *, read_only: bool = False) -> SqlJournal:
    keys = cast("KeyStore", built(settings, "key_store"))
    heads = settings.home / "heads"
    return journal.open_journal(
        settings.journal_url,
        project=settings.project.id,
        actor="system",
        projections=PROJECTIONS,
        heads_dir=heads,
        sign=lambda message: keys.sign(KEY, [message])[0],
        # Asking for a key that is not there makes it: whoever only looks asks where something was signed.
        verify_key=keys.public_key(KEY) if not read_only or any(heads.glob("*.jsonl")) else None,
        read_only=read_only,
        upcasts=UPCASTS,
    )


def _met(log: SqlJournal) -> Iterator[str]:
    """What is to be said of the journal; what it contradicts closes it to writing, and it can still be read."""
    try:
        said = journal.meet(log)
    except WerkError as wrong:
        log.database.sealed = wrong
        said = f"{wrong.message} Nothing is written or signed. {wrong.hint}"
    if said:
        yield said
    if moved := journal.moved(log):
        log.database.sealed = log.database.sealed or moved
        yield f"{moved.message} {moved.hint}"


def _enrolled(log: SqlJournal, proof: Proof) -> Actor:
    """The actor of this proof; where nothing may be written, somebody not yet known has no place in the journal."""
    if log.database.sealed is None:
        return governance.enrol(log, proof)
    try:
        return governance.actor_of(log, proof)
    except Refused:
        if proof.method == "token":
            raise
        return Actor("act_not_enrolled", proof.name, "local")


def built(settings: Settings, port: str, **bound: object) -> object:
    """The adapter that the settings name for a port, with what only the caller can give it."""
    given = dict(settings.ports[port])
    return plugins.build(port, str(given.pop("use")), {**given, **bound})


def _make_room(settings: Settings) -> None:
    """The folder of what runs keep here, wherever the journal is, and that of a journal file."""
    path = Path(settings.journal_url.removeprefix("sqlite:///"))
    if path.exists() and not os.access(path.parent, os.W_OK):
        return  # it can still be read
    with _writable(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
    _own_folder(settings.project.root / ".werk")
    if str(path) != settings.journal_url:
        _own_folder(path.parent)


def _own_folder(folder: Path) -> None:
    """Its own .gitignore keeps it out of the project's history."""
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as closed:
        raise InputError(
            f"{folder} cannot be written: {closed.strerror}.",
            code="project-unwritable",
            hint="Check the folder's owner and rights.",
        ) from closed


class Formats(dict[str, ModelFormat]):
    """Every installed model format, built when it is first asked for."""

    def __missing__(self, name: str) -> ModelFormat:
        self[name] = cast("ModelFormat", plugins.build("model_format", name, {}))
        return self[name]


def objects(settings: Settings) -> ObjectStore:
    """The object store, or in a shared one the part that is this project's."""
    store = cast("ObjectStore", built(settings, "object_store"))
    return Part(store, settings.project.id) if shared(settings.ports["object_store"], settings.project) else store
