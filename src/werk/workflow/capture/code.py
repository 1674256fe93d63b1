"""The code of a run exactly as it lay in the folder, uncommitted and untracked files included."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from werk.core.canonical import digest_of
from werk.core.errors import InputError, Tampered
from werk.workflow.capture.credentials import file_secrets, holds_credentials
from werk.workflow.capture.git import attempt, git
from werk.workflow.capture.secrets import environment_secrets, find_secrets, first_line

LARGEST_BYTES = 5_000_000
# In a file, a short value of a secret variable ("postgres") is more often a word than the secret.
_SHORTEST_SECRET = 12
_NEVER_CODE = ("__pycache__/", ".venv/", "venv/", "node_modules/", ".ipynb_checkpoints/", "*.pyc")
_NEVER_IN_STATUS = re.compile(r"/(?:__pycache__|\.venv|venv|node_modules|\.ipynb_checkpoints)/|\.pyc$")
_WITHHELD = re.compile(r".* \(.*, line \d+\)", re.DOTALL)
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv")
_LINK, _PROGRAM, _FILE = "120000", "100755", "100644"


Standing = Literal["tracked", "untracked in its repository", "in a repository without a commit", "not in a git repository"]


@dataclass(frozen=True, slots=True)
class CodeTree:
    """The identity of a run's code is `tree`, a git tree id; `commit` is where the user's HEAD stood, None without one.

    `dirty` says that the folder held something no commit holds; `diff_sha256` then identifies what. `git` says where the folder
    stands: what lies untracked in another project's repository is in none of its commits.
    `left_out` names the files that are not in the tree, with the reason: `data.bin (6 MB)`, `.env (may hold secrets)`,
    `pipelines.py (password in a URL, line 12)`.
    """

    commit: str | None
    tree: str
    dirty: bool
    diff_sha256: str | None
    left_out: tuple[str, ...]
    git: Standing


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file as a git tree holds it."""

    mode: str
    blob: str


def capture_code(root: Path, store_dir: Path) -> CodeTree:
    """Keep every file below `root` that git would not ignore in the bare repository `store_dir`, under `refs/werk/<tree>`.

    The user's index, HEAD and objects are not touched: the store stands alone, so no `git gc` elsewhere can empty it.
    `.werk/` and `lake/` are no code. Files over 5 MB, `.env*` and files with secrets are left out and named.
    Raises `InputError` when git is missing.
    """
    _make(store_dir)
    kept, left_out = _keep_files(root, store_dir)
    tree = _write_tree(store_dir, kept)
    _replace(store_dir / "refs" / "werk" / tree, f"{tree}\n".encode())
    commit = _head(root)
    changed = _changed(root) if commit else sorted(kept)
    diff = digest_of([[_shown(path), kept[path].blob if path in kept else None] for path in changed])
    return CodeTree(commit, tree, bool(changed), diff if changed else None, tuple(left_out), _standing(root, commit))


def withheld(left_out: Iterable[str]) -> list[str]:
    """Those left out for what they say in one of their lines: likely code, without which nothing can be rebuilt."""
    return [name for name in left_out if _WITHHELD.fullmatch(name)]


def checkout_code(store_dir: Path, tree: str, target: Path) -> None:
    """Write the files of a tree into `target`, byte for byte (no line-end conversion), which must be empty or absent.

    Raises `InputError` for an unknown tree or a used target, `Tampered` when the store no longer holds what was captured.
    """
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target.name} is not empty.", code="target-not-empty", hint="Name a new folder for the code.")
    kept = _entries(store_dir, tree)
    contents = _contents(store_dir, {file.blob for file in kept.values()})
    if _write_tree(store_dir, kept) != tree:
        raise Tampered(f"The code tree {tree} is not what was captured.", code="code-tampered", hint="Restore it from a backup.")
    target.mkdir(parents=True, exist_ok=True)
    # Links last: no file is ever written through one.
    for path, file in sorted(kept.items(), key=lambda item: (item[1].mode == _LINK, item[0])):
        _restore(target / path, file.mode, contents[file.blob])


def kept_file(store_dir: Path, tree: str, name: str) -> bytes | None:
    """One file of a captured tree, by its name below the root; None where the tree has none."""
    _check_known(store_dir, tree)
    listed = git("ls-tree", "-z", "--full-tree", tree, "--", name, cwd=store_dir, store=store_dir)
    blobs = [os.fsdecode(line).split()[2] for line in listed.split(b"\0") if line]
    return _contents(store_dir, set(blobs))[blobs[0]] if blobs else None


def diff(store_dir: Path, tree_a: str, tree_b: str) -> str:
    """What changed from one captured tree to another, as a unified diff; empty when they are equal."""
    for tree in (tree_a, tree_b):
        _check_known(store_dir, tree)
    return git(*_DIFF, tree_a, tree_b, cwd=store_dir, store=store_dir).decode(errors="replace")


def uncommitted(root: Path, store_dir: Path, code: CodeTree) -> str:
    """What the run's code had that its commit has not, as a diff for `git apply`; empty when it was clean or had no commit.

    Needs the user's repository (`InputError` without one) to still have the commit (`Failed` otherwise). Files left out are in
    no diff.
    """
    if code.commit is None or not code.dirty:
        return ""
    if not _is_repository(root):
        hint = f"Look in the repository that has the commit {code.commit}."
        raise InputError(f"{root} is in no git repository any more.", code="repository-missing", hint=hint)
    prefix = os.fsdecode(git("rev-parse", "--show-prefix", cwd=root).rstrip(b"\n"))
    left_out = [f":(top,exclude,literal){name.rpartition(' (')[0]}" for name in code.left_out]
    trees = (f"{code.commit}:{prefix}", code.tree)
    return git(*_DIFF, "--binary", *trees, "--", ":(top)", *left_out, cwd=root, borrow=store_dir).decode(errors="replace")


# --- which files ---


def _keep_files(root: Path, store_dir: Path) -> tuple[dict[str, _Kept], list[str]]:
    known = [value for value in {*environment_secrets(), *file_secrets(root)} if len(value) >= _SHORTEST_SECRET]
    kept: dict[str, _Kept] = {}
    left_out: list[str] = []
    for path in sorted(_listed(root, store_dir)):
        try:
            mode, data = _read(root / path)
        except FileNotFoundError:
            continue  # deleted but still in the index
        except OSError as refused:
            left_out.append(f"{_shown(path)} ({refused.strerror})")
            continue
        why = _why_not(path, data, known, store_dir)
        if why:
            left_out.append(f"{_shown(path)} ({why})")
        elif isinstance(data, bytes):
            kept[path] = _Kept(mode, _keep_object(store_dir, data))
    return kept, left_out


def _why_not(path: str, data: bytes | int, known: Iterable[str], store_dir: Path) -> str | None:
    if isinstance(data, int):
        return f"{data / 1e6:.0f} MB"
    if holds_credentials(path):
        return "may hold secrets"
    text = data.decode("utf-8", errors="replace")
    if _place(store_dir, _blob_id(data)).exists():
        # Kept before, so its form was looked at then; the secret variables may be others today.
        kinds = ["value of a secret variable"] if any(value in text for value in known) else []
    else:
        kinds = find_secrets(text, known)
    return f"{kinds[0]}, line {first_line(text, known)}" if kinds else None


def _listed(folder: Path, store_dir: Path) -> Iterator[str]:
    """Paths below a folder that are tracked or not ignored; repositories inside it are walked as well."""
    for path in _asked(folder, store_dir):
        inner = folder / path
        if not _is_code(path):
            continue
        if not inner.is_dir() or inner.is_symlink():
            yield path
        elif (inner / ".git").exists():
            yield from (f"{path.rstrip('/')}/{below}" for below in _listed(inner, store_dir))


def _asked(folder: Path, store_dir: Path) -> set[str]:
    listing = ("ls-files", "-z", "--others", "--exclude-standard", *(f"--exclude={pattern}" for pattern in _NEVER_CODE))
    if _is_repository(folder):
        found = git(*listing, "--cached", cwd=folder)
    else:
        found = git(f"--work-tree={folder}", *listing, cwd=folder, store=store_dir)
    return {os.fsdecode(path) for path in found.split(b"\0") if path}


def _is_code(path: str) -> bool:
    parts = path.split("/")
    return parts[0] != "lake" and ".werk" not in parts


def _is_repository(folder: Path) -> bool:
    done = attempt("rev-parse", "--is-inside-work-tree", cwd=folder)
    return done.returncode == 0 and done.stdout.strip() == b"true"


def _read(path: Path) -> tuple[str, bytes | int]:
    """A file's mode and content; its size instead when it is too large to be code."""
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        return _LINK, os.fsencode(path.readlink())
    if not stat.S_ISREG(about.st_mode):
        raise FileNotFoundError(path)
    mode = _PROGRAM if about.st_mode & stat.S_IXUSR else _FILE
    return mode, about.st_size if about.st_size > LARGEST_BYTES else path.read_bytes()


def _standing(root: Path, commit: str | None) -> Standing:
    if commit is None:
        return "in a repository without a commit" if _is_repository(root) else "not in a git repository"
    return "tracked" if git("ls-tree", commit, "--", ".", cwd=root) else "untracked in its repository"


def _head(root: Path) -> str | None:
    done = attempt("rev-parse", "--verify", "--quiet", "HEAD^{commit}", cwd=root)
    return done.stdout.decode().strip() or None if done.returncode == 0 else None


def _changed(root: Path) -> list[str]:
    """Paths that differ from HEAD, as git itself compares them (its filters and line ends applied)."""
    said = git("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", ".", cwd=root)
    prefix = os.fsdecode(git("rev-parse", "--show-prefix", cwd=root).rstrip(b"\n"))
    paths = (os.fsdecode(line[3:]).removeprefix(prefix) for line in said.split(b"\0") if line)
    return sorted(path for path in paths if _is_code(path) and not _NEVER_IN_STATUS.search(f"/{path}"))


def _shown(path: str) -> str:
    """The path as text that any file can hold; names that are no UTF-8 keep their bytes readable."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


# --- the store: git's own object format, so that any git can read it ---


def _make(store_dir: Path) -> None:
    """Made aside and moved into place whole, so that two first captures at once cannot meet in a half-made store."""
    if (store_dir / "HEAD").exists():
        return
    store_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store_dir.parent, prefix="code-") as folder:
        git("init", "--bare", "--quiet", "--template=", "made", cwd=Path(folder))
        try:
            (Path(folder) / "made").rename(store_dir)
        except OSError:
            if not (store_dir / "HEAD").exists():
                raise


def _keep_object(store_dir: Path, data: bytes) -> str:
    """Store the very bytes that were scanned: a file that changes meanwhile cannot slip a secret in."""
    blob = _blob_id(data)
    place = _place(store_dir, blob)
    if not place.exists():
        _replace(place, zlib.compress(_framed(data), 1))
    return blob


def _place(store_dir: Path, blob: str) -> Path:
    return store_dir / "objects" / blob[:2] / blob[2:]


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(_framed(data), usedforsecurity=False).hexdigest()


def _framed(data: bytes) -> bytes:
    return b"blob %d\0%b" % (len(data), data)


def _replace(place: Path, data: bytes) -> None:
    """Write a file so that a reader, a kill or a power cut leaves the whole of it or nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"tmp_{secrets.token_hex(8)}")
    with unfinished.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(place)


def _write_tree(store_dir: Path, kept: Mapping[str, _Kept]) -> str:
    lines = (os.fsencode(f"{file.mode} {file.blob}\t{path}\0") for path, file in kept.items())
    with tempfile.TemporaryDirectory(dir=store_dir, prefix="index-") as folder:
        index = Path(folder) / "index"
        git("update-index", "-z", "--index-info", cwd=store_dir, store=store_dir, index=index, data=b"".join(lines))
        return git("write-tree", cwd=store_dir, store=store_dir, index=index).decode().strip()


def _check_known(store_dir: Path, tree: str) -> None:
    known = re.fullmatch(r"[0-9a-f]{40}", tree) and store_dir.is_dir()
    if not known or attempt("cat-file", "-e", f"{tree}^{{tree}}", cwd=store_dir, store=store_dir).returncode:
        raise InputError(
            f"The code tree '{tree}' is not kept here.", code="tree-unknown", hint="Restore .werk/code.git from a backup."
        )


def _entries(store_dir: Path, tree: str) -> dict[str, _Kept]:
    _check_known(store_dir, tree)
    listed = git("ls-tree", "-r", "-z", "--full-tree", tree, cwd=store_dir, store=store_dir)
    rows = (os.fsdecode(line).partition("\t") for line in listed.split(b"\0") if line)
    return {path: _Kept(about.split()[0], about.split()[2]) for about, _, path in rows}


def _contents(store_dir: Path, blobs: set[str]) -> dict[str, bytes]:
    asked = "".join(f"{blob}\n" for blob in sorted(blobs)).encode()
    answer = git("cat-file", "--batch", cwd=store_dir, store=store_dir, data=asked)
    contents: dict[str, bytes] = {}
    at = 0
    while at < len(answer):
        header, _, _ = answer[at : at + 200].partition(b"\n")
        blob, kind, size = (*header.decode().split(), "0")[:3]
        start = at + len(header) + 1
        contents[blob] = _checked(blob, kind, answer[start : start + int(size)])
        at = start + int(size) + 1
    return contents


def _checked(blob: str, kind: str, data: bytes) -> bytes:
    """git does not re-hash what it reads; a rebuild must."""
    if kind != "blob" or _blob_id(data) != blob:
        raise Tampered(f"The kept file {blob} is damaged.", code="code-tampered", hint="Restore .werk/code.git from a backup.")
    return data


def _restore(place: Path, mode: str, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if mode == _LINK:
        place.symlink_to(os.fsdecode(data))
        return
    place.write_bytes(data)
    place.chmod(0o755 if mode == _PROGRAM else 0o644)
