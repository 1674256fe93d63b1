"""A project as it stood at one fact, in a folder: journal, tables, artifacts, code and keys; and brought back from it."""

from werk.pipelines.backup.archive import Archive
from werk.pipelines.backup.restore import (
    check_beside,
    check_key_at_hand,
    declare,
    place_code,
    place_journal,
    place_keys,
    place_stores,
)
from werk.pipelines.backup.take import KEY, Taken, take
from werk.pipelines.backup.trust import check_asked_for, check_carried, check_heads, check_signer, checked_journal
from werk.pipelines.backup.unfinished import Leftovers, swept, unfinished

__all__ = [
    "KEY",
    "Archive",
    "Leftovers",
    "Taken",
    "check_asked_for",
    "check_beside",
    "check_carried",
    "check_heads",
    "check_key_at_hand",
    "check_signer",
    "checked_journal",
    "declare",
    "place_code",
    "place_journal",
    "place_keys",
    "place_stores",
    "swept",
    "take",
    "unfinished",
]
