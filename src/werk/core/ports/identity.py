"""Who is at the other end: proven by the operating system or by a token, never named by a flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proven: `subject` is stable for one person or machine account (`os:1000@host`, `token:<sha256>`, `oidc:<sub>`).

    `name` is for people to read and may change.
    """

    subject: str
    name: str
    method: Literal["os", "token", "oidc"]


class Identity(Protocol):
    """1. `prove(None)` returns the proof of whoever runs this process.
    2. `prove(token)` returns a proof whose subject depends on the token only; the token itself is nowhere in the proof.
    3. An empty, short (< 32 characters) or malformed token is `Refused`.
    """

    def prove(self, credential: str | None) -> Proof: ...
