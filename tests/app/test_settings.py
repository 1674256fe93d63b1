"""Where a project's things lie, and secrets: by reference, never in werk.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import InitError, KeyringLocked

from werk.app.settings import load_settings, shared
from werk.app.wiring import open_with
from werk.core.errors import InputError

HEAD = '[project]\nname = "rides"\nid = "prj_rides"\n'
PASSWORD = "tr0ub4dor-and-3"
IN_KEYRING = '[journal]\nurl = {keyring = "werk/journal"}\n'


class Ring(KeyringBackend):
    """A keyring without a file."""

    priority = 1.0  # type: ignore[assignment]  # keyring's own way, a property of the class

    def __init__(self, closed: Exception | None = None) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.closed = closed

    def get_password(self, service: str, username: str) -> str | None:
        if self.closed is not None:
            raise self.closed
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, ours = keyring.get_keyring(), Ring()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


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


def test_the_keyring_is_asked_and_the_last_slash_parts_service_and_user(root: Path, ring: Ring) -> None:
    keyring.set_password("werk", "journal", f"postgresql://werk:{PASSWORD}@db/werk")
    keyring.set_password("https://s3.example/lake", "rides", PASSWORD)
    store = '[object_store]\nuse = "s3"\nbucket = "b"\nsecret_access_key = {keyring = "https://s3.example/lake/rides"}\n'
    settings = load_settings(written(root, IN_KEYRING + store))
    assert settings.journal_url == f"postgresql://werk:{PASSWORD}@db/werk"
    assert settings.ports["object_store"]["secret_access_key"] == PASSWORD
    assert settings.notices == ()


def test_only_the_chosen_profile_asks_the_keyring(root: Path, ring: Ring) -> None:
    written(root, '[profile.team.journal]\nurl = {keyring = "werk/absent"}\n')
    assert load_settings(root).journal_url.startswith("sqlite:")
    with pytest.raises(InputError, match="no entry of absent for werk") as missing:
        load_settings(root, "team")
    assert (missing.value.code, missing.value.hint) == ("secret-missing", "Store it: keyring set werk absent")


@pytest.mark.parametrize("reference", ['"werk"', '"/user"', '"werk/"', '""', "3", '{a = "b"}'])
def test_a_malformed_keyring_reference_is_shown_the_form(root: Path, ring: Ring, reference: str) -> None:
    with pytest.raises(InputError, match="service and user") as wrong:
        load_settings(written(root, f"[journal]\nurl = {{keyring = {reference}}}\n"))
    assert wrong.value.code == "settings-malformed"
    assert 'keyring = "SERVICE/USER"' in wrong.value.hint


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (NoKeyring(), "none that this machine offers"),
        (Ring(KeyringLocked(PASSWORD)), "is locked"),
        (Ring(InitError(PASSWORD)), r"does not answer \(InitError\)"),
    ],
    ids=["none", "locked", "mute"],
)
def test_a_keyring_that_does_not_open_says_what_else_there_is(root: Path, ring: Ring, backend: KeyringBackend, says: str) -> None:
    keyring.set_keyring(backend)
    with pytest.raises(InputError, match=says) as closed:
        load_settings(written(root, IN_KEYRING))
    assert closed.value.code == "keyring-closed"
    assert "{env = ...}" in closed.value.hint
    assert PASSWORD not in str(closed.value)


def test_without_its_library_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert load_settings(written(root, "")).notices == (), "nothing refers to it"
    with pytest.raises(InputError, match="not installed") as missing:
        load_settings(written(root, IN_KEYRING))
    assert (missing.value.code, missing.value.hint) == ("library-missing", "pip install 'werk[keyring]'")


def test_a_command_asks_the_keyring_that_the_environment_names(root: Path, tmp_path: Path) -> None:
    """And loads the library for a reference only; a backend that cannot be loaded is said in a sentence."""
    (tmp_path / "ring.py").write_text(
        "from keyring.backend import KeyringBackend\n\n\nclass Ring(KeyringBackend):\n    priority = 1\n\n"
        "    def get_password(self, service, username):\n        return 'sqlite:///.werk/from_keyring.db'\n\n"
        "    def set_password(self, service, username, password):\n        raise NotImplementedError\n"
    )
    tell = "import sys; from werk.app.settings import load_settings as load; from pathlib import Path; "
    tell += "print(load(Path.cwd()).journal_url, 'keyring' in sys.modules)"
    said = []
    for text, backend in (("", "ring.Ring"), (IN_KEYRING, "ring.Ring"), (IN_KEYRING, "nowhere.Ring")):
        environment = {**os.environ, "PYTHON_KEYRING_BACKEND": backend, "PYTHONPATH": str(tmp_path)}
        written(root, text)
        said.append(subprocess.run([sys.executable, "-c", tell], cwd=root, env=environment, capture_output=True, text=True))
    assert [done.stdout.split() for done in said[:2]] == [
        [f"sqlite:///{root}/.werk/journal.db", "False"],
        [f"sqlite:///{root}/.werk/from_keyring.db", "True"],
    ], said
    assert "The keyring that the settings refer to cannot be loaded" in said[2].stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'[journal]\nurl = "postgresql://werk:{PASSWORD}@db/werk"\n', 'url = {env = "WERK_JOURNAL_URL"}'),
        (
            f'[profile.team.object_store]\nuse = "s3"\nbucket = "b"\nsecret_access_key = "{PASSWORD}"\n',
            'secret_access_key = {env = "WERK_OBJECT_STORE_SECRET_ACCESS_KEY"}',
        ),
        ('[profile.team.journal]\nurl = {file = "password"}\n', "move it out"),
        (f'[serving]\nsigning_key = "{PASSWORD}"\n', 'signing_key = {env = "WERK_SERVING_SIGNING_KEY"}'),
        (f'[serving.by-team]\napi-key = "{PASSWORD}"\n', 'api-key = {env = "WERK_BY_TEAM_API_KEY"}'),
        (
            f'[[trigger]]\nname = "t"\non = "run.finished"\npipeline = "p"\nparams = {{token = "{PASSWORD}"}}\n',
            'token = {env = "WERK_PARAMS_TOKEN"}',
        ),
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


@pytest.mark.parametrize("line", ['sort_key = "dep_time"', 'row_key = "flight"', 'signing_key = {env = "HOME"}', 'password = ""'])
def test_a_key_that_names_a_column_and_what_is_referred_to_warn_of_nothing(root: Path, line: str) -> None:
    assert load_settings(written(root, f"[serving]\n{line}\n")).notices == ()


def test_the_warning_is_shown_once_and_leaves_the_answer_alone(root: Path) -> None:
    """On stderr, so that --json stays JSON."""
    written(root, f'[profile.team.journal]\nurl = "postgresql://werk:{PASSWORD}@db/werk"\n')
    done = subprocess.run(
        [sys.executable, "-m", "werk.app.cli", "runs", "--json"], cwd=root, env=os.environ, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
    assert done.stderr.count("warning: url under [profile.team.journal]") == 1
    assert PASSWORD not in done.stderr


def test_doctor_lists_a_secret_with_its_fix(root: Path) -> None:
    written(root, f'[profile.team.journal]\nurl = "postgresql://werk:{PASSWORD}@db/werk"\n')
    done = subprocess.run([sys.executable, "-m", "werk.app.cli", "doctor"], cwd=root, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if " secrets " in line]
    assert line.split()[0] == "warning"
    assert 'url = {env = "WERK_JOURNAL_URL"}' in line
    assert PASSWORD not in done.stdout + done.stderr
