"""A version goes behind its endpoint, or the one before it comes back: champion and deployment move together."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.core.canonical import JSON
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.serving.deploy import approved, deploy, previous, rollback


def check_deployable(p: Platform, mv: ModelVersion) -> None:
    """`InputError` for a version nobody knows, `Refused` for one that is not approved."""
    registry.registered(p.journal, mv)
    approved(p, mv)


def put_live(p: Platform, mv: ModelVersion, directory: Path, cause: JSON = None) -> str:
    """Make an approved version the champion and serve it; returns the deployment's id."""
    registry.set_alias(p, mv, "champion")
    return deploy(p, mv, directory, cause=cause)


def roll_back(p: Platform, model: str, directory: Path, comment: str = "") -> str:
    """The champion and the endpoint go back to the version before; a version no longer approved is `Refused`.

    The alias moves first: killed in between, the same call again ends where this one would have.
    """
    registry.versions(p, model)
    registry.set_alias(p, previous(p, model)[1], "champion")
    return rollback(p, model, directory, comment)
