"""48 live functions and the modules that each needs to run elsewhere: what the tests check, and the benchmark counts.

Each ``source`` is a program that defines ``target``; ``files`` lie beside it. ``expected`` are the top-level modules,
outside of the standard library and of the program's own files, that must be importable where the function runs.
``local`` are its own modules that must travel. ``uses`` is what has to be installed to make the function at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Case:
    """One function: the program that makes it, and what it needs."""

    name: str
    source: str
    expected: frozenset[str]
    local: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()


def _case(name: str, source: str, expected: str, *, local: str = "", uses: str = "", **files: str) -> Case:
    named = {f"{file}.py".replace("__slash__", "/"): text for file, text in files.items()}
    return Case(
        name,
        source.strip("\n") + "\n",
        frozenset(expected.split()),
        frozenset(local.split()),
        named,
        tuple(uses.split()),
    )


# The 18 that other tools were measured with first.
PLAIN = (
    _case("imports inside the function", "def target():\n    import yaml\n    from requests import get\n", "yaml requests"),
    _case("a module-level import", "import yaml, requests\ndef target():\n    return yaml.safe_load('')\n", "yaml"),
    _case("an alias", "import yaml as y\ntarget = None\ndef target():\n    return y\n", "yaml"),
    _case("a.b.c of a submodule", """
import packaging.version
def target():
    return packaging.version.Version('1')
""", "packaging"),
    _case("a class from a module", """
from packaging.version import Version
def target():
    return Version('1')
""", "packaging"),
    _case("a module in a closure", """
def make():
    import yaml as module
    def inner():
        return module.safe_load
    return inner
target = make()
""", "yaml"),
    _case("a default argument", "import yaml\ndef target(load=yaml.safe_load):\n    return load\n", "yaml"),
    _case("a partial", """
import functools, yaml, requests
def work(load, url):
    return load
target = functools.partial(work, yaml.safe_load, url=requests.get)
""", "yaml requests"),
    _case("a decorator with wraps", """
import functools, yaml
def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper
@decorate
def target():
    return yaml
""", "yaml"),
    _case("a decorator without wraps", """
import yaml, requests
def decorate(function):
    def wrapper(*args):
        requests.get
        return function(*args)
    return wrapper
@decorate
def target():
    return yaml
""", "yaml requests"),
    _case("an instance that can be called", """
import yaml
class Work:
    def __init__(self, load):
        self.load = load
    def __call__(self):
        import requests
        return self.load, requests
target = Work(yaml.safe_load)
""", "yaml requests"),
    _case("a bound method", """
import yaml
class Work:
    def run(self):
        return self.other()
    def other(self):
        return yaml
target = Work().run
""", "yaml"),
    _case("a nested def", "import yaml\ndef target():\n    def inner():\n        return yaml\n    return inner\n", "yaml"),
    _case("a helper of the same file", """
import yaml, requests
def deepest():
    return yaml
def helper():
    return deepest()
def target():
    return helper()
""", "yaml"),
    _case("a local module", "from case_tools import tool\ndef target():\n    return tool()\n", "yaml requests",
          local="case_tools.py case_more.py",
          case_tools="import yaml\nimport case_more\ndef tool():\n    pass\n", case_more="import requests\n"),
    _case("a literal import_module", """
import importlib
def target():
    return importlib.import_module('yaml'), __import__('requests')
""", "yaml requests"),
    _case("no source", """
space = {'__name__': '__main__'}
exec("import yaml\\ndef target():\\n    import requests\\n    return yaml, requests\\n", space)
target = space['target']
""", "yaml requests"),
    _case("a Parsl app", """
from parsl import python_app
import yaml
@python_app
def target():
    import requests
    return yaml, requests
""", "yaml requests parsl", uses="parsl"),
)  # fmt: skip

# Parsl, Dask, TaskVine and Work Queue.
WORKFLOWS = (
    _case("a Parsl app with executors and cache", """
from parsl import python_app
import yaml
@python_app(executors=['htex'], cache=True, ignore_for_cache=['x'])
def target(x, load=yaml.safe_load):
    return load
""", "yaml parsl", uses="parsl"),
    _case("a Parsl bash app", """
from parsl import bash_app
@bash_app
def target(stdout='o.txt'):
    import yaml
    return 'echo ' + yaml.dump(1)
""", "yaml parsl", uses="parsl"),
    _case("a Parsl join app that calls another app", """
from parsl import python_app, join_app
@python_app
def inner():
    import requests
@join_app
def target():
    import yaml
    return inner()
""", "yaml requests parsl", uses="parsl"),
    _case("a Dask delayed function", """
from dask import delayed
import yaml
@delayed
def target(x):
    import requests
    return yaml
""", "yaml requests dask", uses="dask"),
    _case("a Dask graph of delayed calls", """
from dask import delayed
import yaml
def load(x):
    return yaml.safe_load(x)
def fetch(x):
    import requests
target = delayed(fetch)(delayed(load)('1'))
""", "yaml requests dask", uses="dask"),
    _case("a lambda in a Dask bag", """
import dask.bag, yaml
from packaging.version import Version
target = dask.bag.from_sequence(['1'], npartitions=1).map(lambda x: yaml.safe_load(x)).map_partitions(
    lambda part: [Version(str(one)) for one in part])
""", "yaml packaging dask", uses="dask"),
    _case("a partial in a Dask delayed call", """
import functools, yaml
from dask import delayed
def work(load, x):
    return load(x)
target = delayed(functools.partial(work, yaml.safe_load))
""", "yaml dask", uses="dask"),
    _case("a task object with its function inside", """
import yaml
class PythonTask:
    def __init__(self, func, *args, **kwargs):
        self._fn_def = (func, args, kwargs)
    def __call__(self):
        function, args, kwargs = self._fn_def
        return function(*args, **kwargs)
def work(x):
    import requests
    return yaml
target = PythonTask(work, 1)
""", "yaml requests"),
    _case("functions of a library, made in a loop", """
import yaml, requests
def make(module):
    def call(x):
        return module.__name__, x
    return call
table = {name: make(module) for name, module in (('a', yaml), ('b', requests))}
def target(name, x):
    return table[name](x)
""", "yaml requests"),
    _case("a library's context function", """
import yaml
def load_model(path, *, loader=None):
    import requests
    return {'model': yaml.safe_load(path)}
class Context:
    __slots__ = ('function', 'args')
    def __init__(self, function, *args):
        self.function, self.args = function, args
    def __call__(self):
        return self.function(*self.args)
target = Context(load_model, 'model.yml')
""", "yaml requests"),
)  # fmt: skip

# Notebooks.
NOTEBOOK = (
    _case("a cell of a notebook", """
import linecache
TEXT = '''import yaml
get = None
def target():
    get_ipython().run_line_magic('timeit', 'pass')
    try:
        import zzz_speedups
    except ImportError:
        import requests
    return yaml
'''
linecache.cache['<ipython-input-1-abc>'] = (len(TEXT), None, TEXT.splitlines(True), '<ipython-input-1-abc>')
exec(compile(TEXT, '<ipython-input-1-abc>', 'exec'), globals())
""", "yaml requests"),
    _case("a real cell with magics", """
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
settings = Config()
settings.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=settings)
shell.run_cell('''
import yaml, requests
def target():
    %pip --version
    !ls
    return yaml
''')
target = shell.user_ns['target']
InteractiveShell.clear_instance()
""", "yaml IPython", uses="IPython"),
    _case("a helper defined again in a later cell", """
import yaml, requests
def helper():
    return requests
def target():
    return helper()
def helper():
    return yaml
""", "yaml"),
    _case("a name bound to another module later", """
import requests as backend
def target():
    return backend
import yaml as backend
""", "yaml"),
    _case("star-import", "from yaml import *\ndef target():\n    return safe_load('')\n", "yaml"),
)  # fmt: skip

# The language.
LANGUAGE = (
    _case("singledispatch", """
import functools, yaml
@functools.singledispatch
def target(x):
    return x
@target.register(int)
def _(x):
    import requests
    return yaml
""", "yaml requests"),
    _case("cached_property and property", """
import functools, yaml
class Work:
    @functools.cached_property
    def one(self):
        return yaml
    @property
    def two(self):
        return 2
    @two.setter
    def two(self, value):
        import requests
    def run(self):
        return self.one
target = Work().run
""", "yaml requests"),
    _case("a dataclass with a default factory", """
from dataclasses import dataclass, field
import yaml, requests
from packaging.version import Version
def make():
    return requests
@dataclass
class Config:
    version: Version
    load: object = field(default_factory=make)
def target():
    return Config, yaml
""", "yaml requests packaging"),
    _case("a compiled function with .py_func", """
import yaml
class Dispatcher:
    __slots__ = ('py_func',)
    def __init__(self, py_func):
        self.py_func = py_func
    def __call__(self, *args):
        return self.py_func(*args)
@Dispatcher
def target(x):
    import requests
    return yaml
""", "yaml requests"),
    _case("numpy.vectorize", """
import numpy, yaml
@numpy.vectorize
def target(x):
    return yaml.safe_load(x)
""", "yaml numpy", uses="numpy"),
    _case("a generator and a context manager", """
import contextlib, yaml
def numbers():
    import requests
    yield 1
@contextlib.contextmanager
def opened():
    yield yaml
def target():
    with opened():
        yield from numbers()
""", "yaml requests"),
    _case("async", """
import yaml
async def numbers():
    import requests
    yield 1
async def target():
    async for one in numbers():
        pass
    return [yaml async for _ in numbers()]
""", "yaml requests"),
    _case("lambdas in containers", """
import collections, yaml, requests
STEPS = {'a': [lambda: yaml], 'b': (lambda: requests,)}
MORE = collections.OrderedDict(c=collections.deque([lambda: __import__('packaging')]))
def target(key):
    return STEPS[key], MORE
""", "yaml requests packaging"),
    _case("modules in containers and in an instance", """
import types, yaml, requests, packaging
BACKENDS = {'yaml': yaml}
SPACE = types.SimpleNamespace(client=requests)
def target(module=packaging):
    return BACKENDS, SPACE
""", "yaml requests packaging"),
    _case("a metaclass and a base class", """
import yaml
class Meta(type):
    def __call__(cls, *args):
        import requests
        return super().__call__(*args)
class Base(metaclass=Meta):
    def helper(self):
        return yaml
class Work(Base):
    def __call__(self):
        from packaging.version import Version
        return Version
target = Work
""", "yaml requests packaging"),
    _case("conditional imports inside", """
def target(kind):
    if kind == 'a':
        import yaml
    else:
        import requests
    try:
        import zzz_not_there
    except ImportError:
        zzz_not_there = None
    from typing import TYPE_CHECKING
    if TYPE_CHECKING:
        import zzz_types
""", "yaml requests"),
    _case("annotations that are values", """
from packaging.version import Version
def target(x: Version, y: 'list[Version]' = ()) -> list[Version]:
    return []
""", "packaging"),
    _case("attributes of a function, static and class methods", """
import yaml
class Work:
    @staticmethod
    def one():
        import requests
    @classmethod
    def two(cls):
        return cls.one()
def target():
    return target.work.two()
target.work = Work
target.load = yaml.safe_load
""", "yaml requests"),
    _case("lru_cache and partialmethod", """
import functools, yaml
@functools.lru_cache(maxsize=None)
def cached():
    import requests
class Work:
    def run(self, load):
        return cached()
    go = functools.partialmethod(run, yaml.safe_load)
def target():
    return Work().go()
""", "yaml requests"),
    _case("an instance of an installed class that holds own code", """
import concurrent.futures, string, yaml
from packaging.version import Version
class Template(string.Formatter):
    def get_value(self, key, args, kwargs):
        return yaml.safe_load(key)
WANTED = {Version('1'): Template()}
def target():
    return WANTED
""", "yaml packaging"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*PLAIN, *WORKFLOWS, *NOTEBOOK, *LANGUAGE)
