"""Each fault is really done, really caught, and never reaches the project it was shown on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from werk.app.commands import breaks, demo, projects, proof, tables
from werk.core.errors import Failed, InputError

LANDED = ("airlines", "airports", "planes", "flights")
NAMED = {
    "flip-byte": (
        "The body is not the one that was hashed",
        "The column rows of the table p_tables is not what the facts",
        "the tail was cut",
    ),
    "poison-rows": ("337,276 rows in = 336,776 landed + 500", *breaks.POISON),
    "leak": ("flights.known.leaks: own_delay",),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The flights use case with its tables landed; nothing is trained."""
    place = tmp_path_factory.mktemp("breaks")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WERK_HOME", str(place / "home"))
        environment.delenv("WERK_TOKEN", raising=False)
        projects.create(place / "tiny", "flights")
        for table in LANDED:
            tables.ingest(f"raw.{table}", place / "tiny" / "data" / f"{table}.parquet", place / "tiny", None)
        yield place / "tiny"


def everything(project: Path) -> dict[str, str]:
    """The hash of every file of the project and of the keys and heads beside it."""
    files = (path for path in project.parent.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["flip-byte", "poison-rows", "leak"])
def test_the_fault_is_caught_and_the_original_is_untouched(project: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = everything(project)
    assert demo.demo(project, name).exit_code == 0
    assert everything(project) == before
    assert proof.verify(project, None).exit_code == 0
    said = capfd.readouterr().out
    assert [word for word in NAMED[name] if word not in said] == []


def test_a_damage_elsewhere_is_not_taken_for_a_catch() -> None:
    damage = {"table": "facts", "where": "seq=11", "column": "body", "sentence": "The body is not the one."}
    assert breaks._names(damage, ("facts", "seq=11", "body"))
    assert not breaks._names(damage, ("facts", "seq=1", "body"))
    assert not breaks._names(damage, ("p_tables", "seq=11", "body"))
    assert not breaks._names(damage, ("facts", "seq=11", "the tail was cut"))


def test_rows_that_break_no_rule_are_not_taken_for_a_catch(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaks, "POISON", {"range(distance)": ("distance", 1)})
    with pytest.raises(Failed, match="other rows landed"):
        breaks.poison_rows(project)


def test_a_feature_that_leaks_nothing_is_not_taken_for_a_catch(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaks, "LEAK", "\n")
    with pytest.raises(Failed, match="names other features"):
        breaks.leak(project)


def test_only_the_named_month_changes_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "weather.parquet"
    pl.DataFrame({"month": [11, 12, 12], "temp": [50.0, 50.0, None]}).write_parquet(path)
    breaks._to_celsius(path)
    assert pl.read_parquet(path)["temp"].to_list() == [50.0, 10.0, None]


def test_a_folder_without_a_journal_is_sent_to_the_demo(tmp_path: Path) -> None:
    for name in breaks.BREAKS:
        with pytest.raises(InputError) as missing:
            demo.demo(tmp_path, name)
        assert missing.value.code == "demo-first"


def test_a_project_that_writes_elsewhere_is_not_copied(project: Path, tmp_path: Path) -> None:
    settings = project / "werk.toml"
    honest = settings.read_text(encoding="utf-8")
    settings.write_text(honest.replace('path = "lake"', f'path = "{(tmp_path / "lake").as_posix()}"'), encoding="utf-8")
    try:
        with pytest.raises(InputError) as outside, breaks.copied(project):
            pass
    finally:
        settings.write_text(honest, encoding="utf-8")
    assert outside.value.code == "break-outside"


def test_an_unknown_break_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError) as unknown:
        demo.demo(tmp_path, "poison-row")
    assert unknown.value.code == "break-unknown"
    assert "poison-rows" in str(unknown.value)
