"""The promises of the Identity port, one function per number."""

from __future__ import annotations

import secrets
from dataclasses import astuple

from werk.core.errors import Refused
from werk.core.ports.identity import Identity


def without_credential_proves_this_process(identity: Identity) -> None:
    """Promise 1: asked twice, the same account answers, and not as a token."""
    proof = identity.prove(None)
    assert proof == identity.prove(None)
    assert proof.subject
    assert proof.method != "token"


def subject_depends_on_token_only(identity: Identity) -> None:
    """Promise 2: equal tokens prove the same subject, different tokens different ones."""
    one, other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    assert identity.prove(one).subject == identity.prove(one).subject
    assert identity.prove(one).subject != identity.prove(other).subject
    assert identity.prove(one).subject != identity.prove(None).subject


def proof_does_not_hold_token(identity: Identity) -> None:
    """Promise 2: whoever reads the proof cannot use it as the token."""
    token = secrets.token_urlsafe(32)
    assert not any(token in part or part in token for part in astuple(identity.prove(token)) if part != "token")
    assert token not in repr(identity.prove(token))


def malformed_token_is_refused(identity: Identity) -> None:
    """Promise 3: empty, short, with blanks, line ends or other alphabets; the refusal does not repeat it."""
    for token in ("", "a" * 31, " " * 40, "a" * 40 + "\n", "ä" * 40, "a" * 20 + "\0" + "a" * 20):
        said = _refusal(identity, token)
        assert not token or token not in said


def _refusal(identity: Identity, token: str) -> str:
    try:
        identity.prove(token)
    except Refused as refused:
        return refused.message + refused.hint
    raise AssertionError(f"accepted {token!r}")


SUITE = (
    without_credential_proves_this_process,
    subject_depends_on_token_only,
    proof_does_not_hold_token,
    malformed_token_is_refused,
)
