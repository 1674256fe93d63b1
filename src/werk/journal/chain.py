"""How one fact is bound to the one before it: a salted hash of its body, a chained hash of everything else."""

from __future__ import annotations

import hashlib
from json.encoder import encode_basestring as quoted  # the C function behind json.dumps

GENESIS = "0" * 64
SALT_BYTES = 16


def body_hash(salt: bytes, body: str) -> str:
    """SHA-256 of salt and body text: with both erased, the hash says nothing about what stood there."""
    return hashlib.sha256(salt + body.encode()).hexdigest()


def fact_hash(
    prev_hash: str,
    seq: int,
    project: str,
    at: int,
    actor: str,
    kind: str,
    subject: str,
    run: str | None,
    v: int,
    body_sha256: str,
    dedupe_key: str | None,
) -> str:
    """SHA-256 of the previous hash and the canonical JSON of every column but body and salt.

    The JSON is assembled by hand (four times faster than an encoder); a test holds it equal to `canonical_json`.
    """
    header = (
        f'{prev_hash}{{"actor":{quoted(actor)},"at":{at},"body_sha256":{quoted(body_sha256)}'
        f',"dedupe_key":{"null" if dedupe_key is None else quoted(dedupe_key)},"kind":{quoted(kind)},"project":{quoted(project)}'
        f',"run":{"null" if run is None else quoted(run)},"seq":{seq},"subject":{quoted(subject)},"v":{v}}}'
    )
    return hashlib.sha256(header.encode()).hexdigest()
