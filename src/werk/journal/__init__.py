"""Append-only facts in one hash chain, and the tables every room reads from them."""

from werk.journal.backup import backup, restore
from werk.journal.erasure import erase_body
from werk.journal.heads import last_signed, sign_head
from werk.journal.sql import SqlJournal, open_journal
from werk.journal.upgrade import upgrade
from werk.journal.verify import replay, verify

__all__ = [
    "SqlJournal",
    "backup",
    "erase_body",
    "last_signed",
    "open_journal",
    "replay",
    "restore",
    "sign_head",
    "upgrade",
    "verify",
]
