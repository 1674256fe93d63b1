"""Append-only facts in one hash chain, and the tables every room reads from them."""

from werk.journal.backup import backup, restore
from werk.journal.erasure import erase_body
from werk.journal.export import export_facts
from werk.journal.heads import last_signed, meet, sign_head, signed_in
from werk.journal.moving import Move, move_of, moved
from werk.journal.sql import SqlJournal, open_journal
from werk.journal.upcasts import Upcasts
from werk.journal.upgrade import schema_number, upgrade
from werk.journal.verify import replay, verify

__all__ = [
    "Move",
    "SqlJournal",
    "Upcasts",
    "backup",
    "erase_body",
    "export_facts",
    "last_signed",
    "meet",
    "move_of",
    "moved",
    "open_journal",
    "replay",
    "restore",
    "schema_number",
    "sign_head",
    "signed_in",
    "upgrade",
    "verify",
]
