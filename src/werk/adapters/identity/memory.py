"""A fixed account, for tests and trials without an operating system's word."""

from __future__ import annotations

from werk.adapters.identity.local import prove_token
from werk.core.ports.identity import Proof


class MemoryIdentity:
    def __init__(self, account: str = "memory", name: str = "memory") -> None:
        self._proof = Proof(f"os:{account}@memory", name, "os")

    def prove(self, credential: str | None) -> Proof:
        return self._proof if credential is None else prove_token(credential)
