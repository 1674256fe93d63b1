"""What werk.toml refers to instead of holding it: environment, files and the system's keyring; and what it should not hold."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from werk.core.errors import InputError
from werk.workflow.capture.secrets import find_secrets, secret_values

_TELLING = re.compile(r"password|passwd|passphrase|secret|token", re.IGNORECASE)


def fetched(value: object, root: Path) -> object:
    """`{env = "NAME"}`, `{file = "path"}` and `{keyring = "SERVICE/USER"}` replaced by what they refer to.

    Paths are read from the folder `root`. Profiles are left out: only what is chosen is fetched. Raises InputError
    `secret-missing`, `library-missing`, `keyring-closed` or `settings-malformed`; none of them tells a secret.
    """
    if isinstance(value, list):
        return [fetched(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"}:
        return _from_environment(str(value["env"]))
    if set(value) == {"file"}:
        return _from_file(_file(value, root))
    if set(value) == {"keyring"}:
        return _from_keyring(value["keyring"])
    return {name: fetched(item, root) for name, item in value.items() if name != "profile"}


def notices(value: object, root: Path, *names: str) -> Iterator[str]:
    """What of werk.toml whoever copies the project gets to know; other profiles count, they are in the same file.

    One sentence each, with the line to write instead and without the secret.
    """
    if isinstance(value, dict) and set(value) == {"file"}:
        if _file(value, root).resolve().is_relative_to(root.resolve()):
            yield f"{_named(names)} refers to a file in the project's folder, which every run keeps with its code: move it out."
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from notices(item, root, *names, name)
    elif isinstance(value, list):
        for item in value:
            yield from notices(item, root, *names)
    elif isinstance(value, str) and (kinds := find_secrets(value) or _telling(names[-1], value)):
        variable = re.sub(r"\W", "_", "_".join(("werk", *names[-2:]))).upper()
        yield f'{_named(names)} holds a {kinds[0]}: write {names[-1]} = {{env = "{variable}"}} and set that variable.'


def _file(reference: Mapping[str, object], root: Path) -> Path:
    return root / Path(str(reference["file"])).expanduser()


def _from_environment(name: str) -> str:
    if name not in os.environ:
        hint = f"Set it, e.g. export {name}=..."
        raise InputError(
            f"The settings refer to the environment variable {name}, which is not set.", code="secret-missing", hint=hint
        )
    return os.environ[name]


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as closed:
        raise InputError(f"The settings refer to {path}: {closed.strerror}.", code="secret-missing", hint="Create it.") from None


def _from_keyring(reference: object) -> str:
    """The last slash parts service and user, so that a service may be a URL."""
    service, _, user = reference.rpartition("/") if isinstance(reference, str) else ("", "", "")
    if not service or not user:
        hint = 'Write {keyring = "SERVICE/USER"}.'
        raise InputError("A keyring reference in werk.toml does not name service and user.", code="settings-malformed", hint=hint)
    found = _asked(service, user)
    if found is None:
        hint = f"Store it: keyring set {shlex.quote(service)} {shlex.quote(user)}"
        raise InputError(f"The keyring has no entry of {user} for {service}.", code="secret-missing", hint=hint)
    return found


def _asked(service: str, user: str) -> str | None:
    try:
        import keyring  # an extra, and slow to load: it looks for every keyring of this machine
        from keyring.errors import KeyringError, KeyringLocked, NoKeyringError
    except ImportError:
        raise InputError(
            "The settings refer to the keyring, and its library is not installed.",
            code="library-missing",
            hint="pip install 'werk[keyring]'",
        ) from None
    try:
        keyring.get_keyring()
    except (ImportError, AttributeError, TypeError, ValueError) as wrong:  # what PYTHON_KEYRING_BACKEND names is no keyring
        raise _closed(f"cannot be loaded ({wrong})") from None
    try:
        return keyring.get_password(service, user)
    except NoKeyringError:
        raise _closed("is none that this machine offers") from None
    except KeyringLocked:
        raise _closed("is locked") from None
    except KeyringError as wrong:
        raise _closed(f"does not answer ({type(wrong).__name__})") from None


def _closed(how: str) -> InputError:
    hint = "Unlock it or install one, as `keyring diagnose` tells; a machine without one takes {env = ...} or {file = ...}."
    return InputError(f"The keyring that the settings refer to {how}.", code="keyring-closed", hint=hint)


def _named(names: tuple[str, ...]) -> str:
    return f"{names[-1]} under [{'.'.join(names[:-1])}] in werk.toml"


def _telling(name: str, value: str) -> list[str]:
    """A name that says secret tells by itself; `..._key` may also name a column, so its value must not read like a word."""
    variable = name.replace("-", "_")
    return ["secret"] if value and (_TELLING.search(name) or secret_values([(variable, value)])) else []
