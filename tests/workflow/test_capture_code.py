import os
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from werk.core.errors import InputError, WerkError
from werk.workflow.capture.code import LARGEST_BYTES, CodeTree, capture_code, checkout_code, diff, uncommitted, withheld

CREDENTIALS = [
    ".netrc", "_netrc", ".pypirc", ".pgpass", "pgpass.conf", ".npmrc", ".git-credentials",
    ".htpasswd", ".my.cnf", ".envrc", "id_rsa", "id_ed25519", "keys/id_ecdsa", "server.pem",
    "SERVER.KEY", "a/b.p12", "a.pfx", "a.jks", "a.kdbx", "a.ppk", ".aws/credentials",
    ".aws/config", "home/.kube/config", "kubeconfig", "prod.kubeconfig", ".docker/config.json", ".ssh/config", ".s3cfg",
    ".boto", "application_default_credentials.json", ".streamlit/secrets.toml", "terraform.tfstate", ".vault-token",
]  # fmt: skip
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "delays").mkdir(parents=True)
    (folder / "delays" / "steps.py").write_text("def load(): ...\n")
    (folder / "werk.toml").write_text("[project]\n")
    return folder


@pytest.fixture
def repository(root: Path) -> Path:
    git(root, "init", "-q")
    (root / ".gitignore").write_text("*.log\n.werk/\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


def capture(root: Path) -> CodeTree:
    return capture_code(root, root / ".werk" / "code.git")


def kept(root: Path) -> list[bytes]:
    return [zlib.decompress(file.read_bytes()) for file in (root / ".werk/code.git/objects").rglob("*/*") if file.is_file()]


def restored(root: Path, tree: str, target: Path) -> dict[str, bytes]:
    checkout_code(root / ".werk" / "code.git", tree, target)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_a_folder_without_git_is_captured_and_restored(root: Path, tmp_path: Path) -> None:
    found = capture(root)
    assert (found.commit, found.dirty, found.left_out) == (None, True, ())
    assert found.git == "not in a git repository"
    assert restored(root, found.tree, tmp_path / "out") == {"delays/steps.py": b"def load(): ...\n", "werk.toml": b"[project]\n"}


def test_a_clean_repository_names_its_commit(repository: Path) -> None:
    found = capture(repository)
    assert found.commit == git(repository, "rev-parse", "HEAD")
    assert found.tree == git(repository, "rev-parse", "HEAD^{tree}")
    assert (found.dirty, found.diff_sha256) == (False, None)
    assert found.git == "tracked"


def test_a_folder_that_its_repository_does_not_track_is_in_none_of_its_commits(repository: Path) -> None:
    inner = repository / "new"
    inner.mkdir()
    (inner / "werk.toml").write_text("[project]\n")
    found = capture(inner)
    assert (found.git, found.dirty) == ("untracked in its repository", True)
    git(repository, "add", "new")
    assert capture(inner).git == "untracked in its repository", "staged is not committed"
    git(repository, "commit", "-qm", "new")
    assert capture(inner).git == "tracked"


def test_a_repository_without_a_commit_is_called_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "werk.toml").write_text("[project]\n")
    assert (capture(tmp_path).commit, capture(tmp_path).git) == (None, "in a repository without a commit")


def test_uncommitted_and_untracked_work_is_in_the_tree_and_the_repository_is_not_touched(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "werk.toml").write_text("[project]\nname = 'staged'\n")
    git(repository, "add", "werk.toml")
    (repository / "werk.toml").write_text("[project]\nname = 'edited after staging'\n")
    (repository / "new.py").write_text("x = 1\n")
    (repository / "noise.log").write_text("ignored")
    before = {path: path.read_bytes() for path in (repository / ".git").rglob("*") if path.is_file()}
    found = capture(repository)
    assert {path: path.read_bytes() for path in (repository / ".git").rglob("*") if path.is_file()} == before
    files = restored(repository, found.tree, tmp_path / "out")
    assert files["werk.toml"].endswith(b"'edited after staging'\n")
    assert files["new.py"] == b"x = 1\n"
    assert "noise.log" not in files
    assert found.dirty


def test_the_diff_digest_follows_the_content(repository: Path) -> None:
    (repository / "new.py").write_text("x = 1\n")
    one = capture(repository)
    (repository / "new.py").write_text("x = 2\n")
    two = capture(repository)
    (repository / "new.py").write_text("x = 1\n")
    assert one.diff_sha256 != two.diff_sha256
    assert capture(repository) == one
    assert "+x = 2" in diff(repository / ".werk" / "code.git", one.tree, two.tree)


def test_what_no_commit_holds_is_shown_without_what_was_left_out(repository: Path) -> None:
    store = repository / ".werk" / "code.git"
    (repository / "id.pem").write_text(PRIVATE_KEY)
    git(repository, "add", "-f", "id.pem")
    git(repository, "commit", "-qm", "a key by accident")
    assert uncommitted(repository, store, capture(repository)) == ""
    (repository / "werk.toml").write_text("[project]\nname = 'x'\n")
    shown = uncommitted(repository, store, capture(repository))
    assert "+name = 'x'" in shown
    assert "id.pem" not in shown


def test_what_no_commit_holds_is_shown_in_a_part_of_a_repository(repository: Path, tmp_path: Path) -> None:
    (repository / "delays" / "steps.py").write_text("def load(): return 1\n")
    found = capture_code(repository / "delays", tmp_path / "code.git")
    shown = uncommitted(repository / "delays", tmp_path / "code.git", found)
    assert "+def load(): return 1" in shown
    assert "werk.toml" not in shown


def test_a_deleted_file_is_dirty_and_absent(repository: Path, tmp_path: Path) -> None:
    (repository / "werk.toml").unlink()
    found = capture(repository)
    assert found.dirty
    assert "werk.toml" not in restored(repository, found.tree, tmp_path / "out")


def test_a_project_inside_a_larger_repository_captures_only_itself(repository: Path, tmp_path: Path) -> None:
    inner = repository / "delays"
    (repository / "outside.py").write_text("x = 1\n")
    clean = capture_code(inner, tmp_path / "code.git")
    (inner / "steps.py").write_text("def load(): return 1\n")
    changed = capture_code(inner, tmp_path / "code.git")
    checkout_code(tmp_path / "code.git", changed.tree, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["steps.py"]
    assert (clean.dirty, changed.dirty) == (False, True)


def test_a_repository_inside_the_project_is_captured_as_files(repository: Path, tmp_path: Path) -> None:
    inner = repository / "vendored"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "lib.py").write_text("y = 1\n")
    assert restored(repository, capture(repository).tree, tmp_path / "out")["vendored/lib.py"] == b"y = 1\n"


def test_stores_lakes_and_byte_code_are_no_code(root: Path, tmp_path: Path) -> None:
    for path in ("lake/raw/a.parquet", ".werk/journal.db", "delays/__pycache__/steps.pyc", ".venv/lib/x.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("no code")
    assert set(restored(root, capture(root).tree, tmp_path / "out")) == {"delays/steps.py", "werk.toml"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", "PLAIN=1\n"),
        ("deploy/.env.prod", "PLAIN=1\n"),
        ("id_rsa", PRIVATE_KEY),
        ("conf.py", "URL = 'postgresql://werk:tr0ub4dor@db/x'\n"),
        ("token.txt", "ghp_" + "a1B2" * 9),
        ("conf.py", "DB_PASSWORD = 'abc'\n"),
        ("deploy.sh", "export DB_PASSWORD=abc\n"),
    ],
)
def test_files_with_secrets_are_left_out_and_named(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text)
    found = capture(root)
    assert [name.split(" (")[0] for name in found.left_out] == [path]
    assert kept(root)
    assert not any(text.strip().encode() in content for content in kept(root))


@pytest.mark.parametrize("path", CREDENTIALS)
def test_files_where_credentials_live_are_never_kept_whatever_they_hold(root: Path, path: str) -> None:
    (root / path).parent.mkdir(exist_ok=True, parents=True)
    (root / path).write_text("login x\n")
    found = capture(root)
    assert found.left_out == (f"{path} (may hold secrets)",)
    assert withheld(found.left_out) == [], "nobody expects these to be code"
    assert not any(b"login x" in content for content in kept(root))


@pytest.mark.parametrize("path", ["id_rsa.pub", "keyboard.py", "key.py", "npmrc.md", "config", "credentials.py", "monkey"])
def test_names_that_only_look_like_those_are_code(root: Path, path: str) -> None:
    (root / path).write_text("login x\n")
    assert capture(root).left_out == ()


def test_a_file_left_out_for_what_it_says_is_told_with_the_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_TOKEN", "correct-horse-battery")
    (root / "pipelines.py").write_text("import os\n\nURL = f'postgresql://werk:tr0ub4dor@{os.uname().nodename}/x'\n")
    (root / "client.py").write_text("\ncall('correct-horse-battery')\n")
    (root / "weights.bin").write_bytes(b"\0" * (LARGEST_BYTES + 1))
    found = capture(root)
    told = ["client.py (value of a secret variable, line 2)", "pipelines.py (password in a URL, line 3)"]
    assert withheld(found.left_out) == told
    assert set(found.left_out) - set(told) == {"weights.bin (5 MB)"}


def test_the_value_of_a_secret_variable_is_kept_nowhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_TOKEN", "correct-horse-battery")
    (root / "client.py").write_text("call('correct-horse-battery')\n")
    assert capture(root).left_out == ("client.py (value of a secret variable, line 1)",)


def test_a_value_that_became_secret_later_is_left_out_from_then_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "client.py").write_text("call('correct-horse-battery')\n")
    assert capture(root).left_out == ()
    monkeypatch.setenv("PLANT_TOKEN", "correct-horse-battery")
    assert capture(root).left_out == ("client.py (value of a secret variable, line 1)",)


def test_a_dotenv_example_is_code(root: Path) -> None:
    (root / ".env.example").write_text("DB_URL=postgresql://user:password@host/db\n")
    assert capture(root).left_out == ()


def test_a_large_file_is_left_out_and_named(root: Path) -> None:
    (root / "weights.bin").write_bytes(b"\0" * (LARGEST_BYTES + 1))
    assert capture(root).left_out == ("weights.bin (5 MB)",)


def test_modes_links_line_ends_and_odd_names_survive(root: Path, tmp_path: Path) -> None:
    (root / "run.sh").write_bytes(b"#!/bin/sh\r\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("run.sh")
    (root / ".gitattributes").write_text("* text eol=lf ident\n*.txt export-ignore filter=missing\n")
    (root / "a b\n$Id$.txt").write_bytes(b"$Id$ \xff\x00 \r\n")
    (root / os.fsdecode(b"caf\xe9.py")).write_bytes(b"x = 1\r\n")
    found = capture(root)
    files = restored(root, found.tree, tmp_path / "out")
    assert files["run.sh"] == b"#!/bin/sh\r\n"
    assert files["a b\n$Id$.txt"] == b"$Id$ \xff\x00 \r\n"
    assert files[os.fsdecode(b"caf\xe9.py")] == b"x = 1\r\n"
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)
    assert (tmp_path / "out" / "link").readlink() == Path("run.sh")
    assert capture_code(tmp_path / "out", tmp_path / "again.git").tree == found.tree


def test_restoring_refuses_a_used_folder_and_an_unknown_tree(root: Path, tmp_path: Path) -> None:
    found = capture(root)
    with pytest.raises(InputError, match="not empty"):
        checkout_code(root / ".werk" / "code.git", found.tree, root)
    for tree in ("0" * 40, "HEAD", "--help"):
        with pytest.raises(InputError, match="not kept"):
            checkout_code(root / ".werk" / "code.git", tree, tmp_path / "out")


def test_a_kept_file_replaced_by_another_is_noticed(root: Path, tmp_path: Path) -> None:
    found = capture(root)
    store = root / ".werk" / "code.git"
    blob = git(root, f"--git-dir={store}", "rev-parse", f"{found.tree}:werk.toml")
    (store / "objects" / blob[:2] / blob[2:]).write_bytes(zlib.compress(b"blob 10\0[evil]\nx=1"))
    with pytest.raises(WerkError) as caught:
        checkout_code(store, found.tree, tmp_path / "out")
    assert caught.value.code in {"code-tampered", "git-failed"}
    assert not (tmp_path / "out").exists()


def test_garbage_collection_keeps_every_captured_tree(root: Path, tmp_path: Path) -> None:
    first = capture(root)
    (root / "werk.toml").write_text("[project]\nname = 'other'\n")
    capture(root)
    store = root / ".werk" / "code.git"
    git(root, f"--git-dir={store}", "gc", "-q", "--prune=now")
    assert restored(root, first.tree, tmp_path / "out")["werk.toml"] == b"[project]\n"
    assert capture(root).tree


def test_four_captures_at_once_agree(root: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: capture(root), range(4)))) == 1


def test_a_hooks_variables_do_not_lead_astray(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = capture(root).tree
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert capture(root).tree == expected
    assert not (tmp_path / "elsewhere").exists()


def test_without_git_the_next_step_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError) as caught:
        capture(root)
    assert caught.value.code == "git-missing"
