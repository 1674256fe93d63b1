"""Passwords and keys that slipped into a text, found by kind and covered."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

COVER = "***"

# Each pattern has the secret itself in the group `secret`; what stands around it may stay readable.
_KEY_LINE = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_PASSWORD_NAME = r"password|passwd|passphrase|api_?key|client_secret|secret_key|access_token|auth_token"
_TELLING_FIELD = r"access_token|api_?key|auth|password|secret|sig|token|X-Amz-Signature"
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "private key": re.compile(rf"-----BEGIN {_KEY_LINE}(?P<secret>.+?)(?:-----END {_KEY_LINE}|\Z)", re.DOTALL),
    "password in a URL": re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\s/:@'\"]*:(?P<secret>[^\s/'\"]+)@(?=[^\s@]|$)"),
    "token in a URL": re.compile(rf"[?&](?:{_TELLING_FIELD})=(?P<secret>[^\s&#'\"<>]{{6,}})", re.IGNORECASE),
    "password in an assignment": re.compile(
        rf"\b\w*(?:{_PASSWORD_NAME})(?:[\"']\s*:|\s*:\s*str\s*=|\s*=)\s*[\"'](?P<secret>[^\s\"'{{}}]{{3,}})[\"']", re.IGNORECASE
    ),
    "password among variables": re.compile(
        rf"^(?:export\s+)?\w*(?:{_PASSWORD_NAME})=(?P<secret>[^\s\"'(){{}}\[\]<>$,;]{{3,}})$", re.IGNORECASE | re.MULTILINE
    ),
    "bearer token": re.compile(r"\b(?:Bearer|Basic)\s+(?P<secret>[A-Za-z0-9._~+/=-]{16,})", re.IGNORECASE),
    "AWS access key": re.compile(r"(?<![A-Za-z0-9])(?P<secret>(?:AKIA|ASIA)[A-Z2-7]{16})(?![A-Za-z0-9])"),
    "AWS secret key": re.compile(
        r"aws_?secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])", re.IGNORECASE
    ),
    "service token": re.compile(
        r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|sk_live_\w{16,}|pypi-AgE[\w-]{50,}"
        r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
    ),
}
# What people write where a password will stand: `user:password@`, `:${DB_PASSWORD}@`, `:{password}@`, `:<token>@`.
_PLACEHOLDER = re.compile(r"\*+|x+|\.+|[$%{<\[].*|pass|passwd|password|pw|secret|token|changeme|example", re.IGNORECASE)
_TELLING_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|APIKEY|_PWD$|_PASS$|_KEY$")
_SHORTEST = 6
# A shorter value counts where it stands alone, and only of a name that says nothing but secret: MAX_TOKENS is none.
_SECRET_NAME = re.compile(r"(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|APIKEY|API_KEY|SECRET_KEY|ACCESS_KEY|_PWD|_PASS)$")
_SHORTEST_ALONE = 3
_WORDS = frozenset({"true", "false", "none", "null", "yes", "off"})
# What a setting named KEY or TOKEN_LIMIT may well hold: SORT_KEY=sched_dep, TOKEN_LIMIT=100000.
_ORDINARY = re.compile(r"[\d.,:_]+|[a-z]+(?:[_.-][a-z]+)*|.*\s.*", re.DOTALL)


def find_secrets(text: str, values: Iterable[str] = ()) -> list[str]:
    """The kinds of secrets in a text, in a fixed order, empty when there are none. Placeholders do not count.

    `values` are secrets known by themselves (`environment_secrets`).

    >>> find_secrets("postgresql://werk:tr0ub4dor@db/flights")
    ['password in a URL']
    >>> find_secrets("postgresql://werk:${DB_PASSWORD}@db/flights")
    []
    """
    kinds = [kind for kind, pattern in _PATTERNS.items() if any(_secrets(pattern, text))]
    return [*kinds, "value of a secret variable"] if any(value in text for value in values if value) else kinds


def mask(text: str, values: Iterable[str] = ()) -> str:
    """The text with every secret covered: those known by their form, `values`, and the environment's own.

    >>> mask("GET https://u:tr0ub4dor@host/x?token=abcdef123456")
    'GET https://u:***@host/x?token=***'
    """
    for pattern in _PATTERNS.values():
        text = pattern.sub(_covered, text)
    # Longest first: a secret may hold another one as its part.
    for value in sorted({*values, *environment_secrets(), *_short_secrets()}, key=len, reverse=True):
        text = _without(text, value)
    return text


def _without(text: str, value: str) -> str:
    """A short value only where it stands alone: `abc` must not turn every `abcdef` of a traceback into stars."""
    if len(value) >= _SHORTEST:
        return text.replace(value, COVER)
    return re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", COVER, text) if value else text


def first_line(text: str, values: Iterable[str] = ()) -> int:
    """The first line that holds a secret, counted from 1; 0 when there is none."""
    starts = [m.start("secret") for p in _PATTERNS.values() for m in p.finditer(text) if not _PLACEHOLDER.fullmatch(m["secret"])]
    starts += [text.index(value) for value in values if value and value in text]
    return text.count("\n", 0, min(starts)) + 1 if starts else 0


def names_secret(variable: str) -> bool:
    """Whether a variable of that name holds a secret."""
    return _TELLING_NAME.search(variable.upper()) is not None


def environment_secrets(variables: Mapping[str, str] = os.environ, *, shortest: int = _SHORTEST) -> list[str]:
    """Values of the variables named like secrets (`*TOKEN*`, `*PASSWORD*`, `*SECRET*`, `*_KEY`), not shorter than `shortest`."""
    return sorted({value for name, value in variables.items() if names_secret(name) and len(value) >= shortest})


def secret_values(variables: Iterable[tuple[str, str]]) -> list[str]:
    """Values of the variables named like secrets, by a stricter measure than the environment's: a file may say anything.

    A name that says nothing but secret counts with every value from three characters on, the others (`*_KEY`, `TOKEN_*`)
    with what does not read like a word, a number or a sentence.
    """
    found = {value for name, value in variables if names_secret(name) and (_says_secret(name) or not _ORDINARY.fullmatch(value))}
    return sorted(value for value in found if _counts(value))


def secrets_in(text: str) -> list[str]:
    """The parts of a text that are secrets by their form."""
    return sorted({value for pattern in _PATTERNS.values() for value in _secrets(pattern, text) if _counts(value)})


def _short_secrets() -> list[str]:
    found = {value for name, value in os.environ.items() if _says_secret(name)}
    return sorted(value for value in found if len(value) < _SHORTEST and _counts(value))


def _says_secret(variable: str) -> bool:
    return _SECRET_NAME.search(variable.upper()) is not None


def _counts(value: str) -> bool:
    return len(value) >= _SHORTEST_ALONE and value.lower() not in _WORDS and not _PLACEHOLDER.fullmatch(value)


def _secrets(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    found = (match["secret"] for match in pattern.finditer(text))
    return (secret for secret in found if not _PLACEHOLDER.fullmatch(secret))


def _covered(match: re.Match[str]) -> str:
    if _PLACEHOLDER.fullmatch(match["secret"]):
        return match[0]
    start, end = (at - match.start() for at in match.span("secret"))
    return f"{match[0][:start]}{COVER}{match[0][end:]}"
