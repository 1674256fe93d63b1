"""Tables as Delta Lake folders, on disk or in S3."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import unquote

from werk.core.errors import InputError, Transient, disk_full, unknown
from werk.core.ports.table_store import ArrowStream, Content, TableVersion

if TYPE_CHECKING:  # loaded where rows are read or written: a listing opens this store and waits for neither library
    import polars as pl
    from deltalake import CommitProperties, DeltaTable
    from obstore.store import ClientConfig, S3Config, S3Store

_TABLE = re.compile(r"[a-z][a-z0-9_-]{0,99}\.[a-z][a-z0-9_-]{0,99}")  # a file system takes 255 bytes a name
NOTE = "note."
_ATTEMPTS = 40
_NO_ROOM = "os error 28"
# What the library below takes for the end of a path, for another character or for no path at all (its panic).
_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|[][#?^|<>\"`\\]")


class DeltaTableStore:
    """`path` is a folder or `s3://bucket/prefix`; the other settings are of the S3 API and may be left to the environment."""

    def __init__(
        self,
        path: str | Path,
        endpoint_url: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
        region: str = "us-east-1",
        allow_http: bool = False,
    ) -> None:
        self._root = str(path).rstrip("/")
        self._remote = "://" in self._root
        given = {"aws_endpoint_url": endpoint_url, "aws_access_key_id": access_key_id, "aws_secret_access_key": secret_access_key}
        self._options = {name: value for name, value in given.items() if value}
        if self._root.startswith("s3://"):
            self._options |= {"aws_region": region, "aws_allow_http": str(allow_http).lower()}
        if not self._remote and (taken := _MISREAD.search(Path(self._root).as_posix())):
            raise InputError(
                f"Tables cannot lie in {self._root}: Delta misreads '{taken[0]}' in a path.",
                code="store-path",
                hint="Rename that folder, or set `path` under [table_store] in werk.toml.",
            )
        if os.environ.get("AWS_S3_ALLOW_UNSAFE_RENAME", "").lower() in ("1", "true", "yes"):
            raise InputError(
                "AWS_S3_ALLOW_UNSAFE_RENAME loses rows when two writers meet.",
                code="setting-unsafe",
                hint="Unset it: conditional put needs no such setting.",
            )

    def write(
        self,
        table: str,
        data: ArrowStream,
        *,
        mode: Literal["append", "replace"] = "append",
        once: tuple[str, int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int:
        import polars as pl
        from deltalake.exceptions import CommitFailedError

        from werk.adapters.table_store import delta_rows as rows

        frame = rows.storable(table, pl.DataFrame(data))
        self._check_writable(table)
        for attempt in range(_ATTEMPTS):
            present = self._open(table)
            if present is not None and once is not None and _applied(present, once):
                return self._first_written(table, present, once)
            if present is not None and mode == "append":
                rows.check_fits(table, frame, present)
            try:
                return self._commit(table, present, frame, mode, rows.properties(once, notes))
            except CommitFailedError:
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))
        raise Transient(f"'{table}' is too busy to be written.", code="table-busy", hint="Try again.")

    def read(self, table: str, version: int | None = None, *, columns: Sequence[str] | None = None) -> ArrowStream:
        from polars.exceptions import ComputeError

        lazy = self.scan(table, version)
        if columns is not None:
            known = lazy.collect_schema().names()
            for name in columns:
                if name not in known:
                    raise unknown("column", name, known, code="column-unknown")
            lazy = lazy.select(columns)
        try:
            return lazy.collect()
        except (ComputeError, OSError) as damage:
            raise damaged(table, damage) from None

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        import polars as pl

        from werk.adapters.table_store import delta_rows as rows

        present = self._at(table, version)
        if not self._remote:
            rows.check_whole(table, self.location(table), present)
        return pl.scan_delta(present)

    def _first_written(self, table: str, present: DeltaTable, once: tuple[str, int]) -> int:
        """The version whose commit brought the app to this seq: the oldest one that is not below it."""
        found = present.version()
        for version in range(present.version(), -1, -1):
            reached = _reached(self._log_entry(table, version), once[0])
            if reached is not None and reached < once[1]:
                break
            found = version if reached is not None else found
            if reached == once[1]:  # an app only ever rises: none before has reached as much
                break
        return found

    def _log_entry(self, table: str, version: int) -> bytes:
        """Empty when a checkpoint has taken its place."""
        try:
            return self.fetch(table, _entry(version))
        except FileNotFoundError:
            return b""

    def version(self, table: str) -> int | None:
        present = self._open(table)
        return None if present is None else present.version()

    def history(self, table: str, *, after: int = -1) -> list[TableVersion]:
        """By the log's own numbers: the library's count is wrong when others commit between its opening and its reading."""
        newest = self._at(table, None).version()
        entries = ((version, self._log_entry(table, version)) for version in range(newest, after, -1))
        return [_said(table, version, entry) for version, entry in entries if entry]

    def tables(self) -> list[str]:
        if self._remote:
            return self._remote_tables()
        logs = Path(self._root).glob("*/*/_delta_log")
        return sorted(f"{log.parent.parent.name}.{log.parent.name}" for log in logs)

    def _bucket(self) -> S3Store:
        try:
            from obstore.store import S3Store  # an optional library: local tables do without
        except ModuleNotFoundError as missing:
            said = "Tables in S3 need 'obstore', which is not installed."
            raise InputError(said, code="library-missing", hint="pip install 'werk[s3]'") from missing
        config = {name: value for name, value in self._options.items() if name != "aws_allow_http"}
        http: ClientConfig = {"allow_http": self._options["aws_allow_http"] == "true"}
        return S3Store.from_url(self._root, config=cast("S3Config", config), client_options=http)

    def _remote_tables(self) -> list[str]:
        """The folders two levels down that hold a Delta log."""
        store = self._bucket()
        folders = [folder for zone in _folders(store) for folder in _folders(store, zone)]
        found = [folder for folder in folders if f"{folder}/_delta_log" in _folders(store, folder)]
        return sorted(folder.replace("/", ".") for folder in found)

    def files(self, table: str, version: int) -> list[str]:
        return self._at(table, version).file_uris()

    def parts(self, table: str, version: int) -> list[str]:
        """Data files first, then the log in its order: a version is there once its log entry is."""
        log = [name for name in self._names(f"{self._below(table)}/_delta_log") if _of_version(name) <= version]
        added = {path for name in log if name.endswith(".json") for path in _added(self.fetch(table, f"_delta_log/{name}"))}
        present = {uri.removeprefix(f"{self.location(table)}/") for uri in map(unquote, self.files(table, version))}
        kept = set(self._names(self._below(table)))
        return [*sorted((added | present) & kept), *(f"_delta_log/{name}" for name in sorted(log))]

    def fetch(self, table: str, part: str) -> bytes:
        name = f"{self._below(table)}/{part}"
        return bytes(self._bucket().get(name).bytes()) if self._remote else (Path(self._root) / name).read_bytes()

    def contents(self, table: str, version: int) -> frozenset[str]:
        data = (uri.removeprefix(f"{self.location(table)}/") for uri in map(unquote, self.files(table, version)))
        checkpoint = f"_delta_log/{version:020}.checkpoint.parquet"
        kept = [checkpoint] if self.content(table, checkpoint) is not None else []
        return frozenset([*data, _entry(version), *kept])

    def content(self, table: str, part: str) -> Content | None:
        try:
            return self._remote_content(table, part) if self._remote else self._local_content(table, part)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _remote_content(self, table: str, part: str) -> Content:
        data = self.fetch(table, part)
        return Content(len(data), hashlib.sha256(data).hexdigest())

    def _local_content(self, table: str, part: str) -> Content:
        with (Path(self._root) / self._below(table) / part).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Content(file.tell(), digest)

    def place(self, table: str, part: str, data: bytes) -> None:
        if part in self._names(f"{self._below(table)}/{part}".rpartition("/")[0], part):
            if self.fetch(table, part) != data:
                raise InputError(f"There is already a table '{table}'.", code="table-exists", hint="Restore to an empty store.")
            return
        name = f"{self._below(table)}/{part}"
        if self._remote:
            self._bucket().put(name, data)
        else:
            _write_whole(Path(self._root) / name, data)

    def _below(self, table: str) -> str:
        return self.location(table).removeprefix(f"{self._root}/")

    def _names(self, folder: str, part: str = "") -> list[str]:
        """The files right in a folder below the root; with `part`, that one's name when it is there."""
        if self._remote:
            listed = self._bucket().list_with_delimiter(folder)["objects"]
            names = [str(entry["path"]).rpartition("/")[2] for entry in listed]
        else:
            place = Path(self._root) / folder
            names = [path.name for path in place.iterdir() if path.is_file()] if place.is_dir() else []
        return [part] if part and part.rpartition("/")[2] in names else [] if part else names

    def location(self, table: str) -> str:
        if not _TABLE.fullmatch(table):
            raise InputError(
                f"'{table[:60]}' is not a table name.", code="name-malformed", hint="Write zone.table, e.g. raw.flights."
            )
        return f"{self._root}/{table.replace('.', '/')}"

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        from werk.adapters.table_store import delta_rows as rows

        try:
            kind = DeltaTable if self._remote else rows.LocalTable
            return kind(self.location(table), version=version, storage_options=self._options or None)
        except TableNotFoundError:
            return None
        except DeltaError as damage:
            raise damaged(table, damage) from None

    def _check_writable(self, table: str) -> None:
        """Asked before, because deltalake panics when a file of its own is refused."""
        if self._remote:
            return
        folder = Path(self.location(table))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as closed:
            raise _unwritable(folder, str(closed.strerror)) from None
        for inside in (folder, folder / "_delta_log"):
            if inside.exists() and not os.access(inside, os.W_OK | os.X_OK):
                raise _unwritable(inside, "Permission denied")

    def _at(self, table: str, version: int | None) -> DeltaTable:
        from deltalake.exceptions import DeltaError

        present = self._open(table)
        if present is None:
            raise unknown("table", table, self.tables(), code="table-unknown")
        if version is None or version == present.version():
            return present
        if not 0 <= version < present.version():
            raise InputError(
                f"'{table}' has no version {version}.", code="version-unknown", hint=f"Its latest is {present.version()}."
            )
        try:
            present.load_as_version(version)
        except DeltaError as damage:
            raise damaged(table, damage) from None
        return present

    def _commit(
        self, table: str, present: DeltaTable | None, frame: pl.DataFrame, mode: str, properties: CommitProperties
    ) -> int:
        from deltalake import PostCommitHookProperties, WriterProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            write_deltalake(
                present or self.location(table),
                frame,
                mode="error" if present is None else "append" if mode == "append" else "overwrite",
                schema_mode="overwrite" if present is not None and mode == "replace" else None,
                storage_options=self._options or None,
                writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
                commit_properties=properties,
                # Delta would drop entries older than 30 days at a checkpoint, and with them the versions they made.
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            )
        except DeltaError as lost_race:
            if present is None and self._open(table) is not None:
                raise CommitFailedError(str(lost_race)) from lost_race
            if _NO_ROOM in str(lost_race):
                raise disk_full(f"'{table}'") from lost_race
            raise
        except OSError as blocked:
            if _NO_ROOM in str(blocked):
                raise disk_full(f"'{table}'") from blocked
            raise
        return 0 if present is None else present.version()


def _folders(store: S3Store, below: str | None = None) -> list[str]:
    return [prefix.rstrip("/") for prefix in store.list_with_delimiter(below)["common_prefixes"]]


def _applied(present: DeltaTable, once: tuple[str, int]) -> bool:
    last = present.transaction_version(once[0])
    return last is not None and last >= once[1]


def damaged(table: str, damage: object) -> InputError:
    first = str(damage).partition("\n")[0].rstrip(".")
    return InputError(
        f"'{table}' cannot be read: {first}.", code="table-damaged", hint="Restore its folder from a backup, or land it again."
    )


def _unwritable(folder: Path, reason: str) -> InputError:
    return InputError(
        f"{folder} cannot be written: {reason}.", code="store-unwritable", hint="Give this user the right to write there."
    )


def _entry(version: int) -> str:
    return f"_delta_log/{version:020}.json"


def _said(table: str, version: int, entry: bytes) -> TableVersion:
    """What a commit says of itself; other writers need not say anything."""
    nothing: dict[str, Any] = {}
    try:
        told = next((action["commitInfo"] for action in map(json.loads, entry.splitlines()) if "commitInfo" in action), nothing)
    except ValueError as damage:
        raise damaged(table, f"{_entry(version)}: {damage}") from None
    at = datetime.fromtimestamp(told.get("timestamp", 0) / 1000, UTC)
    notes = {name.removeprefix(NOTE): str(said) for name, said in told.items() if name.startswith(NOTE)}
    return TableVersion(table, version, at, str(told.get("operation", "unknown")), notes)


def _reached(entry: bytes, app: str) -> int | None:
    """The seq to which a commit brought an app; None when it was not the app's."""
    actions = map(json.loads, entry.splitlines())
    return next((int(a["txn"]["version"]) for a in actions if "txn" in a and a["txn"]["appId"] == app), None)


def _of_version(name: str) -> int:
    """The version a file of the log belongs to; what belongs to none (`_last_checkpoint`) comes after all of them."""
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else 2**63


def _added(entry: bytes) -> Iterator[str]:
    for line in entry.splitlines():
        action = json.loads(line)
        if "add" in action:
            yield unquote(action["add"]["path"])


def _write_whole(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
