"""A version goes behind its endpoint, or the one before it comes back: champion and deployment move together."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.core.canonical import JSON
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.serving.deploy import approved, deploy, deployments, redeploy, rollback, undoes, unsettled


def check_deployable(p: Platform, mv: ModelVersion) -> None:
    """`InputError` for a version nobody knows, `Refused` for one that is not approved."""
    registry.registered(p.journal, mv)
    approved(p.journal, mv)


def put_live(p: Platform, mv: ModelVersion, directory: Path, cause: JSON = None) -> str:
    """Make an approved version the champion and serve it; returns the deployment's id."""
    return deploy(p, mv, directory, cause=cause, champion=True)


def roll_back(p: Platform, model: str, directory: Path, comment: str = "") -> str:
    """The champion and the endpoint go back to the version before; a version no longer approved is `Refused`.

    A rollback that was killed when its files were still to be written is ended, and no second one begun.
    """
    registry.versions(p, model)
    interrupted = unsettled(p, model, directory)
    redeploy(p, directory)
    if interrupted and undoes(newest := deployments(p, model)[0]):
        return str(newest["deployment"])
    return rollback(p, model, directory, comment, champion=True)


def take_out(p: Platform, mv: ModelVersion, directory: Path, comment: str = "") -> None:
    """Retire a version that no endpoint answers with, neither by the journal nor by the files a server follows."""
    redeploy(p, directory)
    registry.retire(p, mv, comment)
