"""A project as it stood at one fact, in a folder: journal, tables, artifacts, code and keys; and brought back from it."""

from werk.pipelines.backup.archive import Archive
from werk.pipelines.backup.restore import declare, place_code, place_journal, place_keys, place_stores
from werk.pipelines.backup.take import Taken, take

__all__ = ["Archive", "Taken", "declare", "place_code", "place_journal", "place_keys", "place_stores", "take"]
