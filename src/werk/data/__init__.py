"""Tables, contracts and what lands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werk.core.lazy import fetched

if TYPE_CHECKING:
    from werk.data.content_key import CONTENT_KEY, with_content_key
    from werk.data.contents import Checked, Which, audit, tampered
    from werk.data.contracts import Contract, Rule, load_contract, misfit
    from werk.data.facts import PROJECTIONS
    from werk.data.landing import Check, Landing, land, read_file
    from werk.data.metadata import metadata
    from werk.data.names import PREDICTIONS, check_table
    from werk.data.query import sql
    from werk.data.tables import Pinned, latest, pins, quarantines, scan, set_back, standing, write
    from werk.data.versions import known

__all__ = [
    "CONTENT_KEY",
    "PREDICTIONS",
    "PROJECTIONS",
    "Check",
    "Checked",
    "Contract",
    "Landing",
    "Pinned",
    "Rule",
    "Which",
    "audit",
    "check_table",
    "known",
    "land",
    "latest",
    "load_contract",
    "metadata",
    "misfit",
    "pins",
    "quarantines",
    "read_file",
    "scan",
    "set_back",
    "sql",
    "standing",
    "tampered",
    "with_content_key",
    "write",
]

_HOME = {
    "content_key": ("CONTENT_KEY", "with_content_key"),
    "contents": ("Checked", "Which", "audit", "tampered"),
    "contracts": ("Contract", "Rule", "load_contract", "misfit"),
    "facts": ("PROJECTIONS",),
    "landing": ("Check", "Landing", "land", "read_file"),
    "metadata": ("metadata",),
    "names": ("PREDICTIONS", "check_table"),
    "query": ("sql",),
    "tables": ("Pinned", "latest", "pins", "quarantines", "scan", "set_back", "standing", "write"),
    "versions": ("known",),
}

fetched(__name__, _HOME)
