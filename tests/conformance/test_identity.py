import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from werk.adapters.identity.local import LocalIdentity
from werk.adapters.identity.memory import MemoryIdentity
from werk.core.ports.identity import Identity
from werk.testing.identity import SUITE


@pytest.mark.parametrize("promise", SUITE)
@pytest.mark.parametrize("identity", [MemoryIdentity(), LocalIdentity()])
def test_promise(promise: Callable[[Identity], None], identity: Identity) -> None:
    promise(identity)


def test_environment_cannot_name_somebody_else() -> None:
    lie = dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER", "HOSTNAME", "HOME"), "somebody-else")
    code = "from werk.adapters.identity.local import LocalIdentity as L; p = L().prove(None); print(p.subject, p.name)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **lie, "SUDO_UID": "4711"}, check=True, capture_output=True, text=True
    )
    proof = LocalIdentity().prove(None)
    assert said.stdout.strip() == f"{proof.subject} {proof.name}"
    assert proof.subject.startswith(f"os:{os.getuid()}@")
