"""Append-only facts in one hash chain, and the tables every room reads from them."""

from werk.journal.sql import SqlJournal, open_journal

__all__ = ["SqlJournal", "open_journal"]
