"""The script `werk` and `python -m werk`: the command line in a process whose arithmetic is pinned."""

from __future__ import annotations

import sys

from werk.app import pinned


def entry() -> None:
    """Pins first: the process begins again with them, and should have loaded as little as possible until then."""
    pinned.begin_again(sys.argv[1:])
    from werk.app.cli import main

    main()


if __name__ == "__main__":
    entry()
