"""Ways in which code outside a project leads to any code at all: by its name, as text or in a process of its own.

Whole families, not single functions: one that is listed for nothing costs a run, one that is missing gives a wrong answer.
"""

from __future__ import annotations

Dotted = tuple[str, ...]

# Any use of these.
_WHOLE = frozenset(
    # that import, look up or run what a text names
    {"bdb", "builtins", "cProfile", "code", "codeop", "doctest", "idlelib", "imp", "importlib", "importlib_metadata"}
    | {
        "importlib_resources",
        "pdb",
        "pkg_resources",
        "pkgutil",
        "pluggy",
        "profile",
        "pydoc",
        "rlcompleter",
        "runpy",
        "setuptools",
    }
    | {"site", "stevedore", "test", "timeit", "trace", "unittest", "zipimport", "_frozen_importlib", "_imp", "__main__"}
    | {"_frozen_importlib_external", "pyximport", "django", "hydra", "celery", "IPython", "nbclient", "nbconvert", "papermill"}
    # that bring back what was written down
    | {"_pickle", "cloudpickle", "copyreg", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}
    # that start or reach another interpreter
    | {"_ctypes", "_interpreters", "_posixsubprocess", "_xxsubinterpreters", "cffi", "ctypes", "execnet", "fabric", "invoke"}
    | {"loky", "multiprocess", "multiprocessing", "nt", "pathos", "pexpect", "plumbum", "posix", "psutil", "pty", "ptyprocess"}
    | {"ray", "sh", "subprocess", "tkinter", "ensurepip", "pip", "venv"}
    # that lay open what is loaded
    | {"gc", "inspect"}
)
# Of these what begins so, and the module itself handed on as a value.
_BEGINNINGS = {
    "asyncio": ("create_subprocess", "subprocess", "base_subprocess", "unix_events", "windows_events"),
    "logging": ("config",),
    "numpy": ("load", "ctypeslib", "f2py", "testing"),
    "os": ("exec", "popen", "posix_spawn", "spawn", "startfile", "system"),
    "pandas": ("eval", "read_pickle"),
    "sys": (
        "_current_frames",
        "_getframe",
        "meta_path",
        "modules",
        "path_hooks",
        "path_importer_cache",
        "setprofile",
        "settrace",
    ),
    "torch": ("load", "hub", "jit", "package", "multiprocessing"),
    "yaml": ("full_load", "load", "unsafe_load", "Loader", "FullLoader", "UnsafeLoader"),
}
_AS_A_VALUE = frozenset({"asyncio", "logging", "os", "sys"})
# What other modules hold for themselves: `shutil.os.system`.
_HELD = frozenset({"builtins", "importlib", "os", "subprocess", "sys", "_os", "_sys"})
_NO_WAY = ("importlib", "metadata", "version")

NAMES = frozenset({"__builtins__", "__import__", "__loader__", "__spec__", "breakpoint", "compile", "eval", "exec", "help"})
ATTRIBUTES = frozenset(
    {"__builtins__", "__globals__", "__loader__", "f_builtins", "f_globals", "load_module", "subprocess_exec", "subprocess_shell"}
)


def leads_anywhere(whole: Dotted) -> bool:
    """Whether a dotted name that begins with a module outside the project may lead to any code."""
    return _is_way(whole) or any(_is_way(_plain(whole[at:])) for at in range(1, len(whole)) if whole[at] in _HELD)


def _is_way(whole: Dotted) -> bool:
    first, rest = whole[0], whole[1:]
    if first in _WHOLE:
        return whole[:3] != _NO_WAY
    return rest[0].startswith(_BEGINNINGS.get(first, ())) if rest else first in _AS_A_VALUE


def _plain(whole: Dotted) -> Dotted:
    return (whole[0].lstrip("_"), *whole[1:])
