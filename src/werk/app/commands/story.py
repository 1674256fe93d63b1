"""The story page of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.proof import audited, chain
from werk.app.wiring import Session, opened
from werk.core.nouns import ModelVersion
from werk.pipelines.lineage import Lineage, lineage
from werk.pipelines.source_row import first_prediction, source_row
from werk.pipelines.steps import words
from werk.pipelines.story import Checked, render
from werk.pipelines.story.tell import tell
from werk.registry import version_row


def story(file: Path, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        p, (outcome, things) = session.p, words(session.p)
        journal.sign_head(session.journal)
        id = first_prediction(p)
        found = lineage(p, id) if id else None
        row = source_row(p, found) if found else None
        checks = tuple(_checks(session, found))
        signed = journal.last_signed(session.journal)
        page = render(tell(p, found, outcome, things, row=row, prices=session.prices, checks=checks, signed=signed)).encode()
    file.write_bytes(page)
    return Answer(record={"file": str(file), "size_bytes": len(page)}, text=f"written to {file} ({len(page) // 1024} kB)")


def _checks(session: Session, found: Lineage | None) -> Iterator[Checked]:
    """What anybody may type to check the page, with what it says now."""
    said = audited(session).text
    yield Checked(
        "werk audit verify", said, "Every fact and table file hashed again, every projection replayed, every signed head checked:"
    )
    heads = journal.signed_in(session.journal)
    if heads is not None and heads.is_file():
        last = heads.read_text(encoding="utf-8").splitlines()[-1]
        signed = "The signed head, kept outside the project (its sig is Ed25519 over the rest of the line):"
        yield Checked(f"tail -n 1 {_short(heads)}", last, signed)
    for row in session.p.journal.rows("rebuilds", {"outcome": "identical"}, order=("-at",), limit=1):
        name = str(row["version"])
        recorded = version_row(session.p, ModelVersion.parse(name))["canonical_hash"]
        printed = f"identical: {name} recorded {recorded}\n           rebuilt  {recorded}"
        yield Checked(f"werk rebuild {name} --verify", printed, "A model trained again from what was recorded of it:")
    if found is not None:
        id = found.prediction["prediction_id"]
        yield Checked(f"werk lineage {id}", "\n".join(chain(found)), "The prediction above, back to its files:")


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else f"$WERK_HOME/heads/{path.name}"
