"""What werk.toml says, with its profile applied and its secrets fetched."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from werk.app.references import fetched, notices
from werk.core.errors import InputError, unknown
from werk.core.nouns import Project, check_name

FILE = "werk.toml"
PORTS = ("table_store", "object_store", "key_store", "identity", "meter", "engine")
_SECTIONS = (*PORTS, "project", "journal", "profile", "trigger", "serving", "prices")
_TRIGGER = ("name", "on", "pipeline", "where", "params", "backlog")
Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class Settings:
    """`ports` holds each port's `use` and its adapter's keywords; paths in them are absolute.

    Where a store lies outside the project's folder, others may use it too: its place then ends in the project's id.
    `notices` are sentences about secrets that stand in werk.toml itself, each with its fix.
    """

    project: Project
    profile: str
    journal_url: str
    ports: Mapping[str, Table]
    triggers: tuple[Table, ...]
    serving: Table
    prices: Table
    home: Path
    notices: tuple[str, ...] = ()


def find_root(start: Path) -> Path:
    """The nearest folder, upward, that holds werk.toml."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    hint = "Make a project with `werk init NAME`, go into its folder, or name it with --project DIR."
    raise InputError(f"There is no {FILE} in {start} or above it.", code="project-missing", hint=hint)


def home() -> Path:
    """Keys and signed heads live here, outside every project."""
    named = os.environ.get("WERK_HOME")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(named) if named else Path(data) / "werk"


def load_settings(root: Path, profile: str | None = None) -> Settings:
    written = tree = _read(root / FILE)
    chosen = profile or os.environ.get("WERK_PROFILE") or "local"
    tree = _merged(tree, _profile(tree, chosen))
    for name in tree:
        if name not in _SECTIONS:
            raise unknown("section", f"[{name}]", [f"[{s}]" for s in _SECTIONS], code="setting-unknown")
    tree = cast("Table", fetched(tree, root))
    project = _project(tree, root)
    ports = {port: _port(tree, port, root) for port in PORTS}
    ports["table_store"] = _apart(ports["table_store"], project)
    url = _journal_url(str(_table(tree, "journal").get("url", "sqlite:///.werk/journal.db")), root)
    return Settings(
        project,
        chosen,
        url,
        ports,
        _triggers(tree),
        _table(tree, "serving"),
        _table(tree, "prices"),
        home(),
        tuple(notices(written, root)),
    )


def shared(store: Table, project: Project) -> bool:
    """Whether other projects may keep things in this store too: it lies outside the project's own folder."""
    path = str(store.get("path", ""))
    return not path or "://" in path or not Path(path).resolve().is_relative_to(project.root.resolve())


def _read(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"There is no {path.name} in {path.parent}.", code="project-missing", hint="Run `werk init NAME`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise InputError(f"{path} is not TOML: {wrong}.", code="settings-malformed", hint="Mend that line.") from None


def _profile(tree: Table, name: str) -> Table:
    profiles = _table(tree, "profile")
    if name != "local" and name not in profiles:
        raise unknown("profile", name, {"local", *profiles}, code="profile-unknown")
    return _table(profiles, name)


def _merged(under: Table, over: Table) -> Table:
    """Profiles replace what they name; naming another adapter drops the settings of the one before."""
    out = dict(under)
    for name, value in over.items():
        before = out.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            same = value.get("use", before.get("use")) == before.get("use")
            out[name] = _merged(before, value) if same else value
        else:
            out[name] = value
    return out


def _port(tree: Table, port: str, root: Path) -> Table:
    defaults: dict[str, Table] = {
        "table_store": {"use": "delta", "path": "lake"},
        "object_store": {"use": "file", "path": ".werk/objects"},
        "key_store": {"use": "file", "path": str(home() / "keys")},
        "identity": {"use": "local"},
        "meter": {"use": "process"},
        "engine": {"use": "journal"},
    }
    given = _table(tree, port)
    given = given if "use" in given else {**defaults[port], **given}
    path = given.get("path")
    if isinstance(path, str) and "://" not in path:
        given = {**given, "path": str(root / path)}
    if port == "key_store" and Path(str(given.get("path", "/"))).is_relative_to(root):
        hint = "Give a path outside it: whoever copies the project must not copy its keys."
        raise InputError("The key store lies inside the project folder.", code="keys-inside", hint=hint)
    return given


def _apart(store: Table, project: Project) -> Table:
    """This project's part of a table store that others may share."""
    if "path" not in store or not shared(store, project):
        return store
    return {**store, "path": f"{str(store['path']).rstrip('/')}/{project.id}"}


def _triggers(tree: Table) -> tuple[Table, ...]:
    """Checked for their keys here, not after a run whose facts they are held against."""
    found = tree.get("trigger", [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        hint = "Write [[trigger]] and keys below it."
        raise InputError("[[trigger]] in werk.toml is not a list of tables.", code="settings-malformed", hint=hint)
    for one in found:
        _check_trigger(one)
    names = [str(one["name"]) for one in found]
    for name in names:
        if names.count(name) > 1:
            hint = "Give each a name of its own: what a trigger has answered is kept by its name."
            raise InputError(f"Two triggers in werk.toml are called '{name}'.", code="setting-twice", hint=hint)
    return tuple(found)


def _check_trigger(one: Table) -> None:
    whose = f"trigger '{one['name']}'" if isinstance(one.get("name"), str) else "[[trigger]]"
    for name in one:
        if name not in _TRIGGER:
            raise unknown(f"key of {whose}", name, _TRIGGER, code="setting-unknown")
    for name in _TRIGGER[:3]:
        if not isinstance(one.get(name), str):
            hint = f'Write {name} = "..." below [[trigger]].'
            raise InputError(f"A [[trigger]] in werk.toml lacks '{name}' ({whose}).", code="setting-missing", hint=hint)
    for name in _TRIGGER[3:5]:
        if not isinstance(one.get(name, {}), dict):
            hint = f'Write {name} = {{FIELD = "..."}}.'
            raise InputError(f"'{name}' of {whose} in werk.toml is not a table.", code="settings-malformed", hint=hint)


def _journal_url(url: str, root: Path) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url or Path(path).is_absolute():
        return url
    return f"sqlite:///{root / path}"


def _project(tree: Table, root: Path) -> Project:
    table = _table(tree, "project")
    for name in ("id", "name"):
        if not isinstance(table.get(name), str):
            raise InputError(
                f"werk.toml lacks '{name}' under [project].", code="setting-missing", hint="`werk init` writes both."
            )
    return Project(check_name("project id", str(table["id"])), check_name("project", str(table["name"])), root)


def _table(tree: Table, name: str) -> Table:
    value = tree.get(name, {})
    if not isinstance(value, dict):
        raise InputError(
            f"[{name}] in werk.toml is not a table.", code="settings-malformed", hint=f"Write [{name}] and keys below it."
        )
    return value
