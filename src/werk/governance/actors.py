"""Who acts here: people and machines known by what they proved, never by what they call themselves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Refused, unknown
from werk.core.journal import Journal, NewFact, Reader, Row, Writer
from werk.core.nouns import Actor, Assurance, new_id
from werk.core.platform import Platform
from werk.core.ports.identity import Proof

_TOKEN_BYTES = 32
_TOKEN = "token:"


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
    """The actor of this proof, `Refused` when nobody is known by it or its token was revoked."""
    known = _find(journal, proof)
    if known is None:
        raise _nobody(proof)
    return known


def issue_token(p: Platform, name: str) -> tuple[Actor, str]:
    """A new actor and its token of 256 random bits: shown this once, kept only as its SHA-256."""
    token, digest = _new_token()
    with p.journal.write() as facts:
        _check_free(facts, name)
        actor = _enrol(facts, name, f"{_TOKEN}{digest}", issued_by=p.actor.id)
        facts.append([_issued(p, actor, digest)])
    return actor, token


def renew_token(p: Platform, name: str) -> tuple[Actor, str]:
    """Another token for the same actor; those it had are revoked in the same transaction."""
    token, digest = _new_token()
    with p.journal.write() as facts:
        actor = _holder(facts, name)
        _check_may_revoke(facts, p.actor, actor)
        facts.append([_revoked(p, actor, "renewed"), _issued(p, actor, digest)])
    return actor, token


def revoke_tokens(p: Platform, name: str, reason: str = "") -> Actor:
    """Let no token of this actor count any more; what it did stays its own. `InputError` when none counts as it is."""
    with p.journal.write() as facts:
        actor = _holder(facts, name)
        _check_may_revoke(facts, p.actor, actor)
        if not tokens_that_count(facts, actor.id):
            raise InputError(
                f"No token of '{name}' counts any more: the last was revoked.",
                code="token-revoked-before",
                hint=f"Issue a new one with `werk actor renew {name}`.",
            )
        facts.append([_revoked(p, actor, reason)])
    return actor


def tokens_that_count(journal: Reader, actor_id: str | None = None) -> list[str]:
    """SHA-256 of every token, of one actor or of all, that no `token.revoked` of its holder came after.

    Read from the chain, where subject and place of a fact outlive its body: erasing a revocation brings no token back.
    """
    revoked = {fact.subject: fact.seq for fact in journal.facts(kinds=("token.revoked",), subject=actor_id)}
    rows = journal.rows("tokens", {"actor": actor_id} if actor_id else None)
    return sorted(str(row["token_sha256"]) for row in rows if int(str(row["seq"])) > revoked.get(str(row["actor"]), 0))


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
    following = [actor_id]
    while following:
        one = following.pop()
        if one in line:
            continue
        line.add(one)
        # Read from the tokens, which hold only ids: an erased name must not make two actors look independent.
        # Revoked ones count too: whoever issued one has held it.
        following += [str(row["issued_by"]) for row in journal.rows("tokens", {"actor": one})]
    return line


def _find(journal: Reader, proof: Proof) -> Actor | None:
    if proof.method == "token":
        return _holding(journal, proof.subject.removeprefix(_TOKEN))
    rows = journal.rows("actors", {"proof": proof.subject})
    return _actor(rows[0]) if rows else None


def _holding(journal: Reader, digest: str) -> Actor | None:
    issued = journal.rows("tokens", {"token_sha256": digest})
    rows = journal.rows("actors", {"id": issued[0]["actor"]}) if issued else []
    if not rows:
        return None
    if digest not in tokens_that_count(journal, str(rows[0]["id"])):
        raise Refused(
            f"This token of '{rows[0]['name']}' was revoked.",
            code="token-revoked",
            hint=f"Ask whoever issued it for a new one: `werk actor renew {rows[0]['name']}`.",
        )
    return _actor(rows[0])


def _holder(journal: Reader, name: str) -> Actor:
    rows = journal.rows("actors", {"name": name})
    if not rows:
        raise unknown("actor", name, [str(row["name"]) for row in journal.rows("actors")], code="actor-name-unknown")
    actor = _actor(rows[0])
    if not journal.rows("tokens", {"actor": actor.id}, limit=1):
        raise InputError(
            f"'{name}' acts by an account and has no token.",
            code="token-none",
            hint="An account is closed where it is kept: by the operating system or the identity provider.",
        )
    return actor


def _check_may_revoke(journal: Reader, by: Actor, holder: Actor) -> None:
    """An account takes back any token, a token only itself and those that come from it: a leaked one locks nobody out."""
    if by.issued_by is not None and by.id not in _issuers(journal, holder.id):
        raise Refused(
            f"The holder of a token takes back its own and those it issued, and {holder.name}'s is neither.",
            code="token-of-others",
            hint="Let somebody do it who acts by an account: unset WERK_TOKEN.",
        )


def _revoked(p: Platform, actor: Actor, reason: str) -> NewFact:
    """Said of the actor, not of a token: it goes for every token issued to it before."""
    return NewFact("token.revoked", actor.id, {"revoked_by": p.actor.id, "reason": reason})


def _issued(p: Platform, actor: Actor, digest: str) -> NewFact:
    return NewFact("token.issued", actor.id, {"token_sha256": digest, "issued_by": p.actor.id})


def _new_token() -> tuple[str, str]:
    token = f"werk_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    return token, sha256_hex(token)


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
