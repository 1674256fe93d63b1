"""Where a project's things lie, and secrets: by reference, never in werk.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from werk.app.settings import load_settings, shared
from werk.app.wiring import open_with
from werk.core.errors import InputError

HEAD = '[project]\nname = "rides"\nid = "prj_rides"\n'
PASSWORD = "tr0ub4dor-and-3"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WERK_PROFILE", raising=False)
    (tmp_path / "rides").mkdir()
    return tmp_path / "rides"


def written(root: Path, text: str) -> Path:
    (root / "werk.toml").write_text(HEAD + text)
    return root


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("lake", "{root}/lake"),
        ("deep/er/../lake", "{root}/deep/er/../lake"),
        ("../lake", "{root}/../lake/prj_rides"),
        ("/srv/lake/", "/srv/lake/prj_rides"),
        ("s3://bucket/lake", "s3://bucket/lake/prj_rides"),
        ("s3://bucket", "s3://bucket/prj_rides"),
    ],
)
def test_tables_outside_the_project_lie_below_its_id(root: Path, path: str, place: str) -> None:
    settings = load_settings(written(root, f'[table_store]\nuse = "delta"\npath = "{path}"\n'))
    assert settings.ports["table_store"]["path"] == place.format(root=root)


def test_a_link_out_of_the_project_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (root / "lake").symlink_to(tmp_path / "shared")
    assert load_settings(written(root, "")).ports["table_store"]["path"] == f"{root}/lake/prj_rides"


def test_objects_outside_the_project_lie_below_its_id_and_its_own_are_where_they_were(root: Path, tmp_path: Path) -> None:
    session = open_with(load_settings(written(root, f'[object_store]\nuse = "file"\npath = "{tmp_path}/objects"\n')))
    session.p.object_store.put({"a/b": b"x"})
    session.journal.close()
    assert (tmp_path / "objects/prj_rides/a/b").read_bytes() == b"x"
    session = open_with(load_settings(written(root, "")))
    session.p.object_store.put({"a/b": b"x"})
    session.journal.close()
    assert (root / ".werk/objects/a/b").read_bytes() == b"x"


def test_a_prefix_is_kept_and_the_id_comes_below_it(root: Path) -> None:
    settings = load_settings(written(root, '[object_store]\nuse = "s3"\nbucket = "b"\nprefix = "team/one"\n'))
    assert settings.ports["object_store"]["prefix"] == "team/one"
    assert shared(settings.ports["object_store"], settings.project)


@pytest.mark.parametrize("id", ["../prj_other", "prj/other", "", "Prj", "prj other"])
def test_an_id_that_could_reach_into_another_project_is_refused(root: Path, id: str) -> None:
    (root / "werk.toml").write_text(f'[project]\nname = "rides"\nid = "{id}"\n')
    with pytest.raises(InputError, match="project id"):
        load_settings(root)


def test_secrets_are_fetched_by_reference(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(f"postgresql://werk:{PASSWORD}@db/werk\n")
    monkeypatch.setenv("KEY_OF_RIDES", PASSWORD)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = '[object_store]\nuse = "s3"\nbucket = "b"\nsecret_access_key = {env = "KEY_OF_RIDES"}\n'
    for reference in (f"{tmp_path}/url", "../url", "~/url"):
        settings = load_settings(written(root, f'[journal]\nurl = {{file = "{reference}"}}\n{store}'))
        assert settings.journal_url == f"postgresql://werk:{PASSWORD}@db/werk"
        assert settings.ports["object_store"]["secret_access_key"] == PASSWORD
        assert settings.notices == ()


def test_a_reference_to_nothing_is_named(root: Path) -> None:
    for reference, named in (('{env = "NOT_SET_HERE"}', "NOT_SET_HERE"), ('{file = "../absent"}', "absent")):
        with pytest.raises(InputError, match=named) as missing:
            load_settings(written(root, f"[journal]\nurl = {reference}\n"))
        assert missing.value.code == "secret-missing"
        assert missing.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'[journal]\nurl = "postgresql://werk:{PASSWORD}@db/werk"\n', 'url = {env = "WERK_JOURNAL_URL"}'),
        (
            f'[profile.team.object_store]\nuse = "s3"\nbucket = "b"\nsecret_access_key = "{PASSWORD}"\n',
            'secret_access_key = {env = "WERK_OBJECT_STORE_SECRET_ACCESS_KEY"}',
        ),
        ('[profile.team.journal]\nurl = {file = "password"}\n', "move it out"),
    ],
)
def test_a_secret_in_the_project_warns_with_the_fix_and_is_not_repeated(root: Path, text: str, says: str) -> None:
    (notice,) = load_settings(written(root, "[journal]\n" + text if "profile" in text else text)).notices
    assert says in notice
    assert PASSWORD not in notice


@pytest.mark.parametrize(
    "url", ["postgresql://werk@db/werk", "postgresql://werk:${PASSWORD}@db/werk", "sqlite:///.werk/journal.db"]
)
def test_a_url_without_a_password_warns_of_nothing(root: Path, url: str) -> None:
    assert load_settings(written(root, f'[journal]\nurl = "{url}"\n')).notices == ()


def test_the_warning_is_shown_once_and_leaves_the_answer_alone(root: Path) -> None:
    """On stderr, so that --json stays JSON."""
    written(root, f'[profile.team.journal]\nurl = "postgresql://werk:{PASSWORD}@db/werk"\n')
    done = subprocess.run(
        [sys.executable, "-m", "werk.app.cli", "runs", "--json"], cwd=root, env=os.environ, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
    assert done.stderr.count("warning: url under [profile.team.journal]") == 1
    assert PASSWORD not in done.stderr
