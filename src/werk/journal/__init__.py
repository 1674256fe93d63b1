"""Append-only facts in one hash chain, and the tables every room reads from them."""

from werk.journal.erasure import erase_body
from werk.journal.heads import sign_head
from werk.journal.sql import SqlJournal, open_journal
from werk.journal.verify import replay, verify

__all__ = ["SqlJournal", "erase_body", "open_journal", "replay", "sign_head", "verify"]
