"""Who acts here: people and machines known by what they proved, never by what they call themselves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Refused
from werk.core.journal import Journal, NewFact, Reader, Row, Writer
from werk.core.nouns import Actor, Assurance, new_id
from werk.core.platform import Platform
from werk.core.ports.identity import Proof

_TOKEN_BYTES = 32


def enrol(journal: Journal, proof: Proof) -> Actor:
    """The actor of this proof; an account seen for the first time becomes one. A token must have been issued before."""
    if proof.method == "token":
        return actor_of(journal, proof)
    known = _find(journal, proof)
    if known is not None:
        return known
    with journal.write() as facts:
        # Asked again inside the transaction: of two processes that both saw nobody, the second finds the first's actor.
        return _find(facts, proof) or _enrol(facts, proof.name, proof.subject, issued_by=None)


def actor_of(journal: Reader, proof: Proof) -> Actor:
    """The actor of this proof, `Refused` when nobody is known by it."""
    known = _find(journal, proof)
    if known is None:
        raise _nobody(proof)
    return known


def issue_token(p: Platform, name: str) -> tuple[Actor, str]:
    """A new actor and its token of 256 random bits: shown this once, kept only as its SHA-256."""
    token = f"werk_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    digest = sha256_hex(token)
    with p.journal.write() as facts:
        _check_free(facts, name)
        actor = _enrol(facts, name, f"token:{digest}", issued_by=p.actor.id)
        facts.append([NewFact("token.issued", actor.id, {"token_sha256": digest, "issued_by": p.actor.id})])
    return actor, token


def actor_named(journal: Reader, actor_id: str) -> str:
    """The name to show for an id; the id itself when the name was erased or never known."""
    rows = journal.rows("actors", {"id": actor_id})
    return str(rows[0]["name"]) if rows else actor_id


def assurance_of(journal: Reader, approver: Actor, trainers: Iterable[str]) -> Assurance:
    """How sure it is that the approver is somebody else than those who trained.

    `local-self`: they are the same actor, one was issued its token by the other, or somebody issued both, however many hands a
    token went through: who issues a token has held it, so one person may be all of them.
    """
    line = _issuers(journal, approver.id)
    shared = any(line & _issuers(journal, trainer) for trainer in trainers)
    return "local-self" if shared else approver.assurance


def _issuers(journal: Reader, actor_id: str) -> set[str]:
    """The actor, who issued its token, who issued theirs ..."""
    line: set[str] = set()
    following: str | None = actor_id
    while following is not None and following not in line:
        line.add(following)
        # Read from the tokens, which hold only ids: an erased name must not make two actors look independent.
        rows = journal.rows("tokens", {"actor": following})
        issuer = rows[0]["issued_by"] if rows else None
        following = issuer if isinstance(issuer, str) else None
    return line


def _find(journal: Reader, proof: Proof) -> Actor | None:
    rows = journal.rows("actors", {"proof": proof.subject})
    return _actor(rows[0]) if rows else None


def _actor(row: Row) -> Actor:
    issuer, proof = row["issued_by"], str(row["proof"])
    assurance: Assurance = "oidc" if proof.startswith("oidc:") else "local"
    return Actor(str(row["id"]), str(row["name"]), assurance, issuer if isinstance(issuer, str) else None)


def _enrol(facts: Writer, name: str, proof: str, *, issued_by: str | None) -> Actor:
    actor_id = new_id("act")
    # No dedupe key: it would keep a trace of the proof in the chain after the body is erased.
    facts.append([NewFact("actor.enrolled", actor_id, {"name": name, "proof": proof, "issued_by": issued_by})])
    return _actor(facts.rows("actors", {"id": actor_id})[0])


def _check_free(facts: Reader, name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > 100 or not name.isprintable():
        raise InputError("A token needs the name of its holder.", code="actor-name", hint="Give 1 to 100 printable characters.")
    if facts.rows("actors", {"name": name}, limit=1):
        raise InputError(
            f"There is already an actor named '{name}'.",
            code="actor-name-taken",
            hint="Choose another name: a reader must be able to tell two actors apart.",
        )


def _nobody(proof: Proof) -> Refused:
    if proof.method == "token":
        return Refused(
            "Nobody is known by this token.", code="token-unknown", hint="Ask for one that was issued for this project."
        )
    return Refused(
        f"{proof.name} is not known to this project.", code="actor-unknown", hint="Run any command here once to enrol."
    )
