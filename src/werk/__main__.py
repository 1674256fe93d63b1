"""`python -m werk`: the command line, for a debugger or an environment whose scripts are not on the path."""

from werk.app.cli import entry

if __name__ == "__main__":
    entry()
