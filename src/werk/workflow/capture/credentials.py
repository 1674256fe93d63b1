"""Secrets that stand in files which are no code: `.env`, and where programs keep credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from werk.workflow.capture.secrets import secret_values, secrets_in

_LARGEST_BYTES = 1_000_000
_DOTENV = re.compile(r"\.env(?!\.(?:example|sample|template|dist)$).*")
# Where programs keep credentials, by the end of the path: none of them is code.
_CREDENTIALS = re.compile(
    r"(?:^|.*/)(?:[._]netrc|\.pypirc|\.pgpass|pgpass\.conf|\.npmrc|\.git-credentials|\.htpasswd|\.my\.cnf|\.s3cfg|\.boto|\.vault-token"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|application_default_credentials\.json|kubeconfig|.*\.kubeconfig|secrets\.toml"
    r"|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|tfstate)|\.dockercfg|\.docker/config\.json|\.kube/config|\.(?:aws|ssh|gnupg)/.*)",
    re.IGNORECASE,
)
_NOT_ENTERED = frozenset({".git", ".werk", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints", "lake"})
_NAME = r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*[=:][ \t]*"
_BARE = re.compile(rf"{_NAME}([^\r\n]*)", re.MULTILINE)
_QUOTED = re.compile(rf"{_NAME}(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)')", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"[ \t]#")
# In double quotes; what a backslash stands before is itself otherwise.
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_SHORTEST_LINE = 12


def holds_credentials(path: str) -> bool:
    """Whether a file of that path, relative and with slashes, is by its name one for secrets and not for code."""
    return bool(_DOTENV.fullmatch(path.rpartition("/")[2]) or _CREDENTIALS.fullmatch(path))


def file_secrets(root: Path) -> list[str]:
    """The secrets in such files below a folder, whether git ignores them or not; a file that cannot be read has none.

    They are the values of names like `*TOKEN*` or `*_KEY` and what is a secret by its form, the password in a URL for one.
    `DEBUG=true` and `PORT=8080` are none.
    """
    found = {value for path in _files(root) for value in _values(_text(path))}
    return sorted(found | {line for value in found for line in _long_lines(value)})


def _files(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in _NOT_ENTERED and not Path(folder, name, "pyvenv.cfg").exists()]
        below = Path(folder).relative_to(root).as_posix()
        yield from (Path(folder, name) for name in names if holds_credentials(f"{below}/{name}"))


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return ""
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _values(text: str) -> set[str]:
    return {*secret_values(_assignments(text)), *secrets_in(text)}


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Names and values as a shell and as a dotenv reader would take them: line by line, and in quotes over several."""
    for name, rest in _BARE.findall(text):
        yield name, _COMMENT.split(rest, maxsplit=1)[0].strip().strip("\"'")
    for name, double, single in _QUOTED.findall(text):
        yield from ((name, value) for value in (single, double, _unescaped(double)))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


def _long_lines(value: str) -> list[str]:
    """A value of several lines may be told one by one, or with `\\n` between them."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if len(line) >= _SHORTEST_LINE] if len(lines) > 1 else []
