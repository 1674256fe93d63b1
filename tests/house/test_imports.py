import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("polars", "numpy", "pyarrow", "duckdb", "sqlalchemy", "deltalake", "lightgbm", "sklearn", "pydantic", "pandas", "scipy")
LOADED = "import sys; {what}; print(' '.join(name for name in {heavy!r} if name in sys.modules))"


def test_every_room_imports_only_the_floors_below() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_no_contract_has_an_exception() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert contracts
    assert [c["name"] for c in contracts if c.get("ignore_imports")] == []


@pytest.mark.parametrize("what", ["import werk", "import werk.core.platform", "from werk.core.plugins import known"])
def test_a_light_import_loads_nothing_heavy(what: str) -> None:
    script = LOADED.format(what=what, heavy=HEAVY)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split() == []
