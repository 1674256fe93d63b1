"""The only place where names become objects: settings in, a bound platform out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from werk import data, features, governance, journal, models, monitoring, pipelines, registry, workflow
from werk.app.apart import Part
from werk.app.settings import Settings, find_root, load_settings, shared
from werk.core import plugins
from werk.core.errors import InputError, WerkError
from werk.core.journal import Projection
from werk.core.platform import Platform
from werk.core.ports.engine import Engine, Progress
from werk.core.ports.identity import Identity
from werk.core.ports.key_store import KeyStore
from werk.core.ports.meter import Meter
from werk.core.ports.model_format import ModelFormat
from werk.core.ports.object_store import ObjectStore
from werk.core.ports.table_store import TableStore
from werk.journal import SqlJournal
from werk.monitoring import Prices
from werk.serving import facts as serving_facts
from werk.workflow import Codec, Pipeline, Resource
from werk.workflow.capture import mask
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

    @property
    def prices(self) -> Prices | None:
        """The price file [prices]; None when there is none."""
        return Prices.from_mapping(self.settings.prices) if self.settings.prices else None

    def engine(self, progress: Callable[[Progress], None] | None = None) -> Engine[Pipeline]:
        """What [engine] names, built on this platform."""
        of_models, prices = models.model_codec, self.prices
        codec = Codec(of_models.kind, of_models.owns, of_models.dump, of_models.load, of_models.digest)
        resources = {**RESOURCES, "prices": lambda p, context: prices}
        bound = {"p": self.p, "resources": resources, "codecs": (codec,), "mask": mask, "progress": progress}
        return cast("Engine[Pipeline]", built(self.settings, "engine", **bound))


@contextmanager
def opened(project: Path | None = None, profile: str | None = None) -> Iterator[Session]:
    """Open a project as whoever runs this process, or as the holder of WERK_TOKEN; what was written is signed at the end."""
    session = open_session(find_root((project or Path.cwd()).resolve()), profile)
    for notice in session.settings.notices:
        _say_once(f"warning: {notice}")
    try:
        yield session
    except BaseException:
        with suppress(WerkError):  # what went wrong first is what is told
            journal.sign_head(session.journal)
        raise
    else:
        journal.sign_head(session.journal)
    finally:
        session.journal.close()


@cache
def _say_once(text: str) -> None:
    """However often a process opens the project."""
    print(text, file=sys.stderr)


def open_session(root: Path, profile: str | None = None) -> Session:
    return open_with(load_settings(root, profile))


def open_with(settings: Settings) -> Session:
    _make_room(settings)
    keys = cast("KeyStore", built(settings, "key_store"))
    identity = cast("Identity", built(settings, "identity"))
    table_store = cast("TableStore", built(settings, "table_store"))
    object_store = objects(settings)
    meter = cast("Meter", built(settings, "meter"))
    log = journal.open_journal(
        settings.journal_url,
        project=settings.project.id,
        actor="system",
        projections=PROJECTIONS,
        heads_dir=settings.home / "heads",
        sign=lambda message: keys.sign(KEY, [message])[0],
        verify_key=keys.public_key(KEY),
    )
    with ExitStack() as undo:
        undo.callback(log.close)
        actor = governance.enrol(log, identity.prove(os.environ.get(TOKEN) or None))
        undo.pop_all()
    bound = log.bound_to(actor=actor.id)
    p = Platform(
        project=settings.project,
        actor=actor,
        stage=settings.profile,
        journal=bound,
        table_store=table_store,
        object_store=object_store,
        key_store=keys,
        identity=identity,
        model_format=Formats(),
        meter=meter,
    )
    return Session(p, settings, bound)


def built(settings: Settings, port: str, **bound: object) -> object:
    """The adapter that the settings name for a port, with what only the caller can give it."""
    given = dict(settings.ports[port])
    return plugins.build(port, str(given.pop("use")), {**given, **bound})


def _make_room(settings: Settings) -> None:
    """The folder of what runs keep here, wherever the journal is, and that of a journal file."""
    with _writable(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
    _own_folder(settings.project.root / ".werk")
    path = settings.journal_url.removeprefix("sqlite:///")
    if path != settings.journal_url:
        _own_folder(Path(path).parent)


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
