"""The journal as it stood at a time somebody names."""

from __future__ import annotations

from datetime import datetime

from werk.app.wiring import Session
from werk.core.errors import InputError
from werk.core.journal import Reader
from werk.core.nouns import to_micros


def reader(session: Session, as_of: str | None) -> Reader:
    """The present journal, or the past one; a time without a zone is refused."""
    journal = session.p.journal
    return journal if as_of is None else journal.at(journal.seq_at(micros(as_of)))


def micros(text: str) -> int:
    try:
        return to_micros(datetime.fromisoformat(text))
    except ValueError:
        hint = "Write ISO 8601 with a zone, e.g. 2026-03-03T12:00:00+00:00."
        raise InputError(f"'{text}' is not a time.", code="time-malformed", hint=hint) from None
