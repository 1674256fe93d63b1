"""The template's own leak test, on the tables that ship with it."""

import runpy
from pathlib import Path

import werk

_TEMPLATE = runpy.run_path(str(Path(werk.__file__).parent / "templates" / "flights" / "tests" / "test_leak.py"))
globals().update({name: value for name, value in _TEMPLATE.items() if name.startswith("test_") or name == "frames"})
