"""Ways in which a step reaches code: whatever the way, a change of that code is another step."""

# ruff: noqa: E501 - a way of reaching code is one line

from __future__ import annotations

import importlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from werk.workflow.codehash import code_hash

HEAD = "from werk import step, pipeline\n"
STEP = "@step('go')\ndef go(x: int) -> int:\n"
CALLED = "def late(x):\n    return x + 1\ndef other(x):\n    return x\n"
# Each: what stands in main.py; `shop/parts.py` holds `late`, whose `+ 1` becomes `+ 2`.
WAYS: Mapping[str, str] = {
    "import in the function": STEP + "    from shop.parts import late\n    return late(x)\n",
    "import of a module in the function": STEP + "    import shop.parts\n    return shop.parts.late(x)\n",
    "import with another name in the function": STEP + "    import shop.parts as p\n    return p.late(x)\n",
    "import of a module from its package in the function": STEP + "    from shop import parts\n    return parts.late(x)\n",
    "import in a nested function": STEP + "    def inner():\n        from shop.parts import late as l\n        return l(x)\n    return inner()\n",
    "import as a global": "def fill():\n    global p\n    import shop.parts as p\n" + STEP + "    fill()\n    return p.late(x)\n",
    "import in a class body": "class C:\n    from shop.parts import late\n" + STEP + "    return C.late(x)\n",
    "getattr with a constant": "import shop.parts as p\n" + STEP + "    return getattr(p, 'late')(x)\n",
    "getattr with a name": "import shop.parts as p\n" + STEP + "    return getattr(p, 'la' + 'te')(x)\n",
    "getattr on a package": "import shop.parts\n" + STEP + "    return getattr(getattr(shop, 'parts'), 'late')(x)\n",
    "the module's dict": "import shop.parts as p\n" + STEP + "    return p.__dict__['late'](x)\n",
    "vars of a module": "from shop import parts\n" + STEP + "    return vars(parts)['late'](x)\n",
    "a module handed on": "from shop import parts\ndef use(m, x):\n    return m.late(x)\n" + STEP + "    return use(parts, x)\n",
    "a module in a table": "from shop import parts\nM = {'p': parts}\n" + STEP + "    return M['p'].late(x)\n",
    "attrgetter": "import operator\nfrom shop import parts\n" + STEP + "    return operator.attrgetter('late')(parts)(x)\n",
    "for": "from shop.parts import late\nfor f in [late]:\n    pass\n" + STEP + "    return f(x)\n",
    "for over a tuple": "from shop.parts import late\nfor n, (f, *_) in [(1, (late, 2))]:\n    pass\n" + STEP + "    return f(x)\n",
    "with": "import contextlib\nfrom shop.parts import late\nwith contextlib.nullcontext(late) as f:\n    pass\n" + STEP + "    return f(x)\n",
    "walrus": "from shop.parts import late\nif f := late:\n    pass\n" + STEP + "    return f(x)\n",
    "walrus in a default": "from shop.parts import late\ndef g(a=(f := late)):\n    pass\n" + STEP + "    return f(x)\n",
    "comprehension": "from shop.parts import late\nFS = {k: f for k, f in [('a', late)]}\n" + STEP + "    return FS['a'](x)\n",
    "walrus in a comprehension": "from shop.parts import late\n[f := g for g in [late]]\n" + STEP + "    return f(x)\n",
    "match": "from shop.parts import late\nmatch [late]:\n    case [f]:\n        pass\n" + STEP + "    return f(x)\n",
    "except": "from shop.parts import late\ntry:\n    raise KeyError(late)\nexcept KeyError as e:\n    f = e.args[0]\n" + STEP + "    return f(x)\n",
    "try import": "try:\n    from absent_library import late as f\nexcept ImportError:\n    from shop.parts import late as f\n" + STEP + "    return f(x)\n",
    "conditional import": "import sys\nif sys.version_info > (3,):\n    import shop.parts as p\n" + STEP + "    return p.late(x)\n",
    "tuple target": "from shop.parts import late\nf, n = late, 1\n" + STEP + "    return f(x)\n",
    "star target": "from shop.parts import late\nn, *fs = 1, late\n" + STEP + "    return fs[0](x)\n",
    "list of functions": "from shop.parts import late\nFS = []\nFS.append(late)\n" + STEP + "    return FS[0](x)\n",
    "dict filled by item": "from shop.parts import late\nFS = {}\nFS['a'] = late\n" + STEP + "    return FS['a'](x)\n",
    "update through another name": "from shop.parts import late\nFS = {}\nG = FS\nG.update(a=late)\n" + STEP + "    return FS['a'](x)\n",
    "setattr": "import types\nfrom shop.parts import late\nN = types.SimpleNamespace()\nsetattr(N, 'f', late)\n" + STEP + "    return N.f(x)\n",
    "globals": "from shop.parts import late\nglobals()['f'] = late\n" + STEP + "    return f(x)\n",
    "globals in the step": "from shop.parts import late\n" + STEP + "    return globals()['la' + 'te'](x)\n",
    "registering decorator": "from shop.parts import late\nFS = {}\ndef reg(f):\n    FS[f.__name__] = f\n    return f\n"
    "@reg\ndef called(x):\n    return late(x)\n" + STEP + "    return FS['called'](x)\n",
    "decorator of the user's own": "import functools\nfrom shop.parts import late\ndef deco(f):\n    @functools.wraps(f)\n    def w(*a, **k):\n"
    "        return late(f(*a, **k))\n    return w\n@step('go')\n@deco\ndef go(x: int) -> int:\n    return x\n",
    "decorator from elsewhere": "from shop.deco import deco\n@step('go')\n@deco\ndef go(x: int) -> int:\n    return x\n",
    "decorated helper": "from shop.deco import deco\n@deco\ndef h(x):\n    return x\n" + STEP + "    return h(x)\n",
    "base class": "from shop.parts import Base\nclass A(Base):\n    pass\n" + STEP + "    return A().apply(x)\n",
    "metaclass": "from shop.parts import Meta\nclass A(metaclass=Meta):\n    pass\n" + STEP + "    return A.apply(x)\n",
    "subclass by registry": "from shop.parts import late\nclass R:\n    all = []\n    def __init_subclass__(cls):\n        R.all.append(cls)\n"
    "class A(R):\n    def apply(self, x):\n        return late(x)\n" + STEP + "    return R.all[0]().apply(x)\n",
    "subclasses": "from shop.parts import late\nclass R:\n    pass\nclass A(R):\n    def apply(self, x):\n        return late(x)\n"
    + STEP + "    return R.__subclasses__()[0]().apply(x)\n",
    "class attribute": "from shop.parts import late\nclass C:\n    f = staticmethod(late)\n" + STEP + "    return C.f(x)\n",
    "default argument": "from shop.parts import late\n@step('go')\ndef go(x: int, f: object = late) -> int:\n    return f(x)\n",
    "default of a helper": "from shop.parts import late\ndef h(x, f=late):\n    return f(x)\n" + STEP + "    return h(x)\n",
    "lambda": "from shop.parts import late\nf = lambda x: late(x)\n" + STEP + "    return f(x)\n",
    "partial": "import functools\nfrom shop.parts import late\nf = functools.partial(late)\n" + STEP + "    return f(x)\n",
    "singledispatch": "import functools\nfrom shop.parts import late\n@functools.singledispatch\ndef f(x):\n    return 0\n"
    "@f.register\ndef _(x: int):\n    return late(x)\n" + STEP + "    return f(x)\n",
    "module __getattr__": "import shop.lazy\n" + STEP + "    return shop.lazy.anything(x)\n",
    "star import": "from shop.parts import *\n" + STEP + "    return late(x)\n",
    "star import through a package": "from shop.stars import *\n" + STEP + "    return late(x)\n",
    "import_module": "import importlib\n" + STEP + "    return importlib.import_module('shop.parts').late(x)\n",
    "import_module by name": "from importlib import import_module as load\n" + STEP + "    return load('shop.' + 'parts').late(x)\n",
    "__import__": STEP + "    return __import__('shop.parts').parts.late(x)\n",
    "sys.modules": "import sys, shop.parts\n" + STEP + "    return sys.modules['shop.parts'].late(x)\n",
    "eval": STEP + "    return eval('__import__(\"shop.parts\").parts.late(x)')\n",
    "another process": "import subprocess, sys\n" + STEP + "    return len(subprocess.check_output([sys.executable, '-m', 'shop.parts']))\n",
    "pickle": "import pickle\n" + STEP + "    return pickle.loads(b'cshop.parts\\nlate\\n.')(x)\n",
    "attribute chain": "import shop\n" + STEP + "    return shop.parts.late(x)\n",
    "attribute chain through a package's import": "import shop.again\n" + STEP + "    return shop.again.late(x)\n",
    "package side effect": "import shop.patched\n" + STEP + "    return shop.patched.f(x)\n",
    "an imported module that changes another": "import shop.table, shop.filler\n" + STEP + "    return shop.table.FS['a'](x)\n",
    "name bound at run time": "import shop.dynamic\n" + STEP + "    return shop.dynamic.f(x)\n",
    "text as an annotation": "from shop.parts import Base\n@step('go')\ndef go(x: 'Base') -> int:\n    return x.apply(1)\n",
    "two steps of a factory": "from shop.parts import late\ndef make(f):\n    @step('go')\n    def made(x: int) -> int:\n        return f(x)\n    return made\n"
    "go = make(late)\n",
    "a factory given a lambda": "from shop.parts import late\ndef make(f):\n    @step('go')\n    def made(x: int) -> int:\n        return f(x)\n"
    "    return made\ngo = make(lambda x: late(x))\n",
    "a factory given a partial": "from functools import partial\nfrom shop.parts import late\ndef make(f):\n    @step('go')\n"
    "    def made(x: int) -> int:\n        return f(x)\n    return made\ngo = make(partial(late))\n",
    "a factory given an object": "from shop.parts import Base\ndef make(o):\n    @step('go')\n    def made(x: int) -> int:\n"
    "        return o.apply(x)\n    return made\ngo = make([Base()])\n",
    "a factory's default": "from shop.parts import late\ndef make(f):\n    @step('go')\n    def made(x: int, f: object = f) -> int:\n"
    "        return f(x)\n    return made\ngo = make(late)\n",
    "below odd line breaks": "NOTE = 'a\\x0cb'\n\x0c\nT = '''\u2028\u2028\u2028'''\nfrom shop.parts import late\ndef h(x):\n    return late(x)\n"
    + STEP + "    return h(x)\n",
    "a path added when it runs": "import sys\n" + STEP + "    sys.path.append('lib')\n    import hidden\n    return hidden.late(x)\n",
}  # fmt: skip
FILES: Mapping[str, str] = {
    "shop/__init__.py": "",
    "shop/parts.py": CALLED + "class Base:\n    def apply(self, x):\n        return late(x)\n"
    "class Meta(type):\n    def apply(cls, x):\n        return late(x)\n",
    "shop/deco.py": "import functools\nfrom .parts import late\ndef deco(f):\n    @functools.wraps(f)\n    def w(x: int) -> int:\n"
    "        return late(f(x))\n    return w\n",
    "shop/lazy.py": "def __getattr__(name):\n    from . import parts\n    return parts.late\n",
    "shop/again.py": "from .parts import late\n",
    "shop/stars/__init__.py": "from .inner import *\n",
    "shop/stars/inner.py": "from shop.parts import late, other\n",
    "shop/patched/__init__.py": "from shop.parts import late\nfrom shop.patched import core\ncore.f = late\nf = core.call\n",
    "shop/patched/core.py": "f = None\ndef call(x):\n    return f(x)\n",
    "shop/table.py": "FS = {}\n",
    "shop/filler.py": "from shop.table import FS\nfrom shop.parts import late\nFS['a'] = late\n",
    "shop/dynamic.py": "import sys\nfrom shop.parts import late\nsetattr(sys.modules[__name__], 'f', late)\n",
    "lib/hidden.py": CALLED,
}
ASIDE = "\n\n# said aside\ndef nothing(x):\n    return x\n\n\n@step('aside')\ndef aside(x: int) -> int:\n    return nothing(x)\n"

Build = Callable[..., str]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The hash of `go` in a fresh copy of the layout, with changes `{file: (old, new)}` made to it."""
    path = list(sys.path)

    def built(main: str, changes: Mapping[str, tuple[str, str]] = {}) -> str:
        root = tmp_path / uuid.uuid4().hex
        for name, text in {**FILES, "main.py": HEAD + main}.items():
            old, new = changes.get(name, ("", ""))
            assert old in text
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "main", "hidden")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "path", [str(root), *path])
        importlib.invalidate_caches()
        return code_hash(importlib.import_module("main").go, root)

    return built


@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_what_is_called_changes_the_hash(build: Build, way: str) -> None:
    changed = build(WAYS[way], dict.fromkeys(("shop/parts.py", "lib/hidden.py"), ("x + 1", "x + 2")))
    assert changed != build(WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_a_comment_does_not(build: Build, way: str) -> None:
    assert build(WAYS[way], {"shop/parts.py": ("x + 1", "x  + 1  # said aside")}) == build(WAYS[way])


# There the hash covers the whole file, or all of them.
EVERYTHING = {
    "getattr on a package", "vars of a module", "globals", "globals in the step", "import_module", "import_module by name", "__import__", "sys.modules", "eval", "pickle",
    "another process", "name bound at run time", "a path added when it runs",
}  # fmt: skip


@pytest.mark.parametrize("way", sorted(set(WAYS) - EVERYTHING))
def test_another_step_beside_it_does_not(build: Build, way: str) -> None:
    assert build(WAYS[way], {"main.py": ("", ASIDE)}) == build(WAYS[way])


NAMES = st.sampled_from(["a", "b", "c"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hops=st.lists(st.sampled_from(["from", "module", "inside", "getattr", "table", "star"]), min_size=1, max_size=5))
def test_whatever_the_hops_the_last_function_counts(tmp_path: Path, hops: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of modules, each reaching the next one in a way of its own."""
    forms = {
        "from": "from {next} import f as g\ndef f(x):\n    return g(x)\n",
        "module": "import {next}\ndef f(x):\n    return {next}.f(x)\n",
        "inside": "def f(x):\n    from {next} import f as g\n    return g(x)\n",
        "getattr": "import {next} as m\ndef f(x):\n    return getattr(m, 'f')(x)\n",
        "table": "import {next} as m\nT = dict(f=m.f)\ndef f(x):\n    return T['f'](x)\n",
        "star": "from {next} import *\n",
    }

    def built(result: str, aside: str = "") -> str:
        root = tmp_path / uuid.uuid4().hex
        root.mkdir()
        for at, hop in enumerate(hops):
            (root / f"hop{at}.py").write_text(forms[hop].format(next=f"hop{at + 1}"))
        (root / f"hop{len(hops)}.py").write_text(f"def f(x):\n    return {result}\n{aside}")
        (root / "main.py").write_text(f"{HEAD}import hop0\n{STEP}    return hop0.f(x)\n")
        for name in [name for name in sys.modules if name.startswith("hop") or name == "main"]:
            del sys.modules[name]
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(root))
            made = importlib.import_module("main").go
            assert made(1) == int(result)
            return code_hash(made, root)

    assert built("1") != built("2")
    assert built("1") == built("1", "# said aside\n")


def test_a_project_of_two_hundred_modules_is_parsed_once_and_hashed_alike_in_every_process(tmp_path: Path) -> None:
    for at in range(200):
        text = "".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(50))
        follow = f"def f(x):\n    import m{at + 1}\n    return m{at + 1}.f(x)\n" if at < 199 else "def f(x):\n    return x\n"
        (tmp_path / f"m{at}.py").write_text(text + follow)
    (tmp_path / "main.py").write_text(f"{HEAD}import m0\n{STEP}    return m0.f(x)\n")
    script = (
        "import ast, pathlib, main\nfrom werk.workflow.codehash import code_hash\nparse, parsed = ast.parse, []\n"
        "ast.parse = lambda *args, **named: parsed.append(1) or parse(*args, **named)\n"
        "print(code_hash(main.go, pathlib.Path.cwd()), len(parsed))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout.split()
        for seed in ("0", "4242")
    ]
    assert told[0][0] == told[1][0]
    assert 201 <= int(told[0][1]) < 210
