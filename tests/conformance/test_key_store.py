import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from werk.adapters.key_store.file import FileKeyStore, default_folder
from werk.adapters.key_store.memory import MemoryKeyStore
from werk.core.errors import InputError, Refused, Tampered
from werk.core.ports.key_store import KeyStore
from werk.testing.key_store import SUITE, two_processes_end_with_one_key

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@pytest.fixture(params=["memory", "file"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return MemoryKeyStore() if request.param == "memory" else FileKeyStore(tmp_path / "keys")


@pytest.mark.parametrize("promise", SUITE)
def test_promise(promise: Callable[[KeyStore], None], keys: KeyStore) -> None:
    promise(keys)


def test_two_processes_end_with_one_key(tmp_path: Path) -> None:
    two_processes_end_with_one_key(partial(FileKeyStore, tmp_path / "keys"))


@pytest.mark.parametrize("name", ["", "../key", "a/b", "A", "a..b", ".a", "a.", "a" * 101, "a\n"])
def test_name_that_could_leave_the_folder_is_refused(keys: KeyStore, name: str) -> None:
    for call in (keys.public_key, keys.destroy, lambda n: keys.sign(n, [b"x"])):
        with pytest.raises(InputError):
            call(name)


@posix
def test_only_the_owner_can_read_what_was_made(tmp_path: Path) -> None:
    FileKeyStore(tmp_path / "keys").sign("werk", [b"x"])
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert [(f.name, stat.S_IMODE(f.stat().st_mode)) for f in (tmp_path / "keys").iterdir()] == [("werk.key", 0o600)]


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    keys = FileKeyStore(tmp_path / "keys")
    keys.sign("werk", [b"x"])
    (tmp_path / "keys" / "werk.key").chmod(mode)
    with pytest.raises(Refused, match=r"werk\.key is open to other users") as refused:
        keys.sign("werk", [b"x"])
    assert "chmod 600" in refused.value.hint


@posix
def test_exposed_key_can_still_be_destroyed(tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "keys")
    public = keys.public_key("werk")
    (tmp_path / "keys" / "werk.key").chmod(0o644)
    keys.destroy("werk")
    assert keys.public_key("werk") == public
    with pytest.raises(Refused, match="destroyed"):
        keys.sign("werk", [b"x"])


@posix
def test_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    with pytest.raises(Refused, match="key folder"):
        FileKeyStore(tmp_path / "keys").public_key("werk")


@posix
def test_link_to_a_key_elsewhere_is_refused(tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "keys")
    keys.public_key("werk")
    (tmp_path / "keys" / "linked.key").symlink_to(tmp_path / "keys" / "werk.key")
    with pytest.raises(Refused) as refused:
        keys.public_key("linked")
    assert refused.value.code == "key-unreadable"


def test_damaged_key_is_named_and_not_replaced(tmp_path: Path) -> None:
    keys, file = FileKeyStore(tmp_path / "keys"), tmp_path / "keys" / "werk.key"
    keys.public_key("werk")
    for damaged in (b"", file.read_bytes()[:-1], file.read_bytes() + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(Tampered):
            keys.public_key("werk")
        assert file.read_bytes() == damaged


def test_killed_between_tombstone_and_removal_stays_refused(tmp_path: Path) -> None:
    keys, file = FileKeyStore(tmp_path / "keys"), tmp_path / "keys" / "werk.key"
    keys.public_key("werk")
    secret = file.read_bytes()
    keys.destroy("werk")
    file.write_bytes(secret)
    file.chmod(0o600)
    with pytest.raises(Refused):
        keys.sign("werk", [b"x"])
    assert not file.exists()


def test_same_keys_after_reopening(tmp_path: Path) -> None:
    wrapped = FileKeyStore(tmp_path / "keys").wrap("werk", [b"k" * 32], context=b"c")
    assert FileKeyStore(tmp_path / "keys").unwrap("werk", wrapped, context=b"c") == [b"k" * 32]


def test_default_folder_follows_werk_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WERK_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "keys"
    monkeypatch.delenv("WERK_HOME")
    assert default_folder() == Path.home() / ".local" / "share" / "werk" / "keys"
