"""Bodies of version 1 and 2 stand in one chain: readers meet the newest, and what was written stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import text

from werk.core.canonical import JSON
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Upsert
from werk.journal import SqlJournal, erase_body, replay, verify
from werk.journal.upcasts import Upcasts

Open = Callable[..., SqlJournal]


def _projection(length: str) -> Projection:
    def trips(fact: Fact) -> Iterable[Change]:
        assert fact.body is not None
        yield Upsert({"trip": fact.subject, "length": fact.body[length]})

    columns = (Column("trip"), Column("length", "int"))
    return Projection(name="trips", columns=columns, key=("trip",), kinds=("trip.made",), apply=trips)


def _metres(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    assert isinstance(body["km"], int)
    return {"metres": body["km"] * 1000}


def _named(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    return {"length_m": body["metres"]}


FIRST = (_projection("km"),)
SECOND: dict[str, object] = {"projections": (_projection("metres"),), "upcasts": {"trip.made": {1: _metres}}}
THIRD: dict[str, object] = {"projections": (_projection("length_m"),), "upcasts": {"trip.made": {1: _metres, 2: _named}}}


def trip(name: str, v: int, **body: int) -> NewFact:
    return NewFact("trip.made", name, body, v=v, dedupe_key=name)


def lengths(journal: SqlJournal) -> dict[JSON, JSON]:
    return {row["trip"]: row["length"] for row in journal.rows("trips")}


def test_an_older_body_is_read_as_the_newest_and_stays_as_it_was_written(url: str, opened: Open) -> None:
    first = opened(url, projections=FIRST)
    first.append([trip("a", 1, km=3), trip("gone", 1, km=9)])
    erase_body(first, 2, "request")
    first.close()
    second = opened(url, **SECOND)
    assert lengths(second) == {"a": 3000}, "made anew, though its columns are the same"
    second.append([trip("b", 2, metres=70), trip("c", 1, km=1)])
    assert lengths(second) == {"a": 3000, "b": 70, "c": 1000}
    second.close()
    third = opened(url, **THIRD)
    third.append([trip("d", 3, length_m=5)])
    assert lengths(third) == {"a": 3000, "b": 70, "c": 1000, "d": 5}
    bodies = [fact.body for fact in third.facts(kinds=["trip.made"])]
    assert bodies == [{"length_m": 3000, "v": 3}, None, *({"length_m": metres, "v": 3} for metres in (70, 1000, 5))]
    assert third.append([trip("a", 3, length_m=4)])[0].body == {"length_m": 3000, "v": 3}, "known since version 1"
    assert replay(third)["trips"] == third.rows("trips", order=["trip"])
    assert third.at(1).rows("trips")[0]["length"] == 3000
    with third.database.reading() as connection:
        assert connection.execute(text("SELECT body FROM facts WHERE seq = 1")).scalar() == '{"km":3,"v":1}'
    assert verify(third).ok


def test_a_body_that_no_longer_becomes_a_newer_one_is_named(lite_url: str, opened: Open) -> None:
    journal = opened(lite_url, projections=FIRST)
    journal.append([trip("a", 1, km=3)])
    journal.close()

    def broken(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {"metres": body["miles"]}

    upcasts: Upcasts = {"trip.made": {1: broken}}
    found = verify(opened(lite_url, projections=(_projection("metres"),), upcasts=upcasts, read_only=True))
    assert [(damage.where, damage.column) for damage in found.damages] == [("seq=1", "body")]
