"""Whatever is appended in whatever batches: dropped and replayed, the projections are identical."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from werk.core.journal import Change, Column, Delete, Fact, NewFact, Projection, Update, Upsert
from werk.journal import open_journal, replay, verify


def _apply(fact: Fact) -> Iterable[Change]:
    assert fact.body is not None
    key = {"name": fact.subject}
    for change in fact.body["changes"]:  # type: ignore[union-attr]
        verb, values = change  # type: ignore[misc]
        if verb == "upsert":
            yield Upsert({**key, **values})  # type: ignore[dict-item]
        elif verb == "update":
            yield Update(key, values)  # type: ignore[arg-type]
        else:
            yield Delete(key)


_COLUMNS = (Column("name"), Column("text"), Column("data", "json"), Column("flag", "bool"), Column("size", "real"))
_PROJECTIONS = tuple(
    Projection(name=name, columns=_COLUMNS, key=("name",), kinds=("changed",), apply=_apply, history=history)
    for name, history in (("plain", False), ("past", True))
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _TEXT, lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none() | _TEXT,
        "data": _JSON,
        "flag": st.none() | st.booleans(),
        "size": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
    },
)
_CHANGES = st.lists(st.tuples(st.sampled_from(["upsert", "update", "delete"]), _VALUES), max_size=3)
_FACTS = st.builds(
    lambda subject, changes: NewFact("changed", subject, {"changes": changes}), st.sampled_from(["a", "b", "ü"]), _CHANGES
)
_BATCHES = st.lists(st.tuples(st.sampled_from(["p1", "p2"]), st.lists(_FACTS, max_size=6)), max_size=5)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.tuples(st.sampled_from(["p1", "p2"]), st.lists(_FACTS, max_size=6)), max_size=5), cut=st.integers(0, 30)
)
def test_replayed_rows_equal_appended_rows(batches: list[tuple[str, list[NewFact]]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'j.db'}"
        with open_journal(url, project="p1", actor="a", projections=_PROJECTIONS) as journal:
            then = None
            for project, facts in batches:
                journal.bound_to(project=project).append(facts)
                if journal.head().seq <= cut:
                    then = (journal.head().seq, journal.rows("plain"), journal.rows("past"))
            for bound in (journal, journal.bound_to(project="p2")):
                for name, rows in replay(bound).items():
                    assert rows == bound.rows(name, history=name == "past")
            if then is not None:
                assert journal.at(then[0]).rows("plain") == then[1]
                assert [{**row, "valid_to": None} for row in then[2]] == journal.at(then[0]).rows("past")
            assert verify(journal).ok
