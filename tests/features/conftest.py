"""The flights template is a user's project: its package is found from its own folder, as it would be there."""

import sys
from pathlib import Path

import werk

TEMPLATE = Path(werk.__file__).parent / "templates" / "flights"
sys.path.insert(0, str(TEMPLATE))
