"""Every error says what is wrong, whose move it is and the next step.

WerkError
├── InputError    yours to mend: a wrong name, file, type or parameter      exit 2
├── Refused       a gate, a policy or a role said no                        exit 3
├── Failed        it was tried and did not work (a step raised, ...)        exit 1
│   ├── StepFailed    user code raised; carries the user's traceback
│   ├── Tampered      stored facts or files are not what was written
│   └── Lost          another worker has taken this run over
└── Transient     may go away by itself: trying again is right              exit 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WerkError(Exception):
    """One sentence, a stable code, the next step.

    `message` says what is wrong; `hint` says what to do next; `code` is stable across releases (`table-unknown`).
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.code, self.hint, self.__dict__))


class InputError(WerkError):
    exit_code = 2


class Refused(WerkError):
    exit_code = 3


class Failed(WerkError):
    exit_code = 1


class StepFailed(Failed):
    """A step's own code raised. `user_traceback` holds only frames of the user's code."""

    def __init__(
        self, message: str, *, code: str = "step-failed", hint: str = "", step: str = "", user_traceback: str = ""
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.step = step
        self.user_traceback = user_traceback


class Tampered(Failed):
    pass


class Lost(Failed):
    pass


class Transient(WerkError):
    exit_code = 1


def disk_full(what: str) -> Failed:
    """No room for `what`; whatever was being written is not there at all."""
    hint = "Make room and do the same again; a run goes on with `werk resume RUN`."
    return Failed(f"The disk has no room left for {what}.", code="disk-full", hint=hint)


def unknown(what: str, name: str, known: Iterable[str], *, code: str, hint: str = "") -> InputError:
    """An `InputError` for a name nobody knows, with the nearest known one and the list."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") if names else "none yet"
    did = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(f"There is no {what} '{name}'.{did}", code=code, hint=hint or f"Known: {listed}.")


def _rebuild(cls: type[WerkError], message: str, code: str, hint: str, state: dict[str, object]) -> WerkError:
    error = cls.__new__(cls)
    WerkError.__init__(error, message, code=code, hint=hint)
    error.__dict__.update(state)
    return error
