"""What a live value holds, looked up without running anything of the program's: no property, no ``__getattr__``."""

from __future__ import annotations

import collections
import contextlib
import inspect
import io
import logging
import socket
import threading
import types
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

_MOST_ITEMS = 1000
# Where the usual wrappers keep what they wrap: methods, ``functools``, Parsl's apps, numba and numpy.
_WRAPPED = ("__func__", "__wrapped__", "func", "py_func", "pyfunc", "fget")
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
# What holds one of these does not travel: a connection, a pool, a running scheduler.
_STAYS = (type(threading.Lock()), type(threading.RLock()), threading.Thread, socket.socket, io.IOBase)
# Running applications, which would lead to everything that was ever typed or submitted.
_RUNNING = frozenset(
    {
        "traitlets.config.configurable.SingletonConfigurable",
        "parsl.dataflow.dflow.DataFlowKernel",
        "distributed.client.Client",
    }
)
_SEQUENCES = (list, tuple, set, frozenset, collections.deque)


def is_a(value: object, *kinds: type) -> bool:
    """Tell whether ``value`` is an instance; its ``__class__``, which may be code, is not asked."""
    return issubclass(type(value), kinds)


def layers(value: object) -> list[object]:
    """Return a callable and what it wraps, layer by layer: partial, method, ``__wrapped__``, an app's ``func``."""
    found = [value]
    while len(found) < 50:
        inner = next((one for name in _WRAPPED if (one := _wrapped(found[-1], name)) is not None), None)
        if inner is None or any(inner is one for one in found):
            break
        found.append(inner)
    return found


def _wrapped(value: object, name: str) -> object:
    found = static(value, name)
    return found if callable(found) or is_a(found, staticmethod, classmethod) else None


def static(value: object, name: str) -> object:
    """Return an attribute that is stored (in the instance, a slot or the class); None where code would have to run."""
    found = inspect.getattr_static(value, name, None)
    if isinstance(found, _DESCRIPTORS):
        try:
            return found.__get__(value, type(value))
        except (AttributeError, TypeError, ValueError):
            return None
    return found


def namespace(value: object) -> Mapping[str, Any]:
    """Return an instance's (or a module's) own ``__dict__``; empty where it has none."""
    for cls in type(value).__mro__:
        found = type.__dict__["__dict__"].__get__(cls).get("__dict__")
        if found is not None:
            if isinstance(found, _DESCRIPTORS):
                with contextlib.suppress(AttributeError, TypeError, ValueError):
                    inside = found.__get__(value, type(value))
                    return inside if isinstance(inside, dict) else {}
            return {}
    return {}


def items(value: object) -> Iterator[object]:
    """Yield what a container holds, its keys too (bounded); nothing for a module's namespace or what is none."""
    if is_a(value, *_SEQUENCES):
        base = next(kind for kind in _SEQUENCES if issubclass(type(value), kind))
        yield from islice(base.__iter__(value), _MOST_ITEMS)  # type: ignore[arg-type]
    elif isinstance(value, dict):
        if not (dict.__contains__(value, "__builtins__") and dict.__contains__(value, "__name__")):
            for key, one in islice(list(dict.items(value)), _MOST_ITEMS):
                yield key
                yield one
    elif type(value) is types.MappingProxyType:
        yield from islice(list(value.values()), _MOST_ITEMS)


def attributes(value: object) -> list[object]:
    """Return what an instance keeps in its ``__dict__`` and slots; nothing for one that cannot travel."""
    if any(f"{cls.__module__}.{cls.__qualname__}" in _RUNNING for cls in type(value).__mro__):
        return []
    inside = namespace(value)
    held: list[object] = [] if "__builtins__" in inside else list(islice(inside.values(), _MOST_ITEMS))
    for cls in type(value).__mro__:
        for name, found in list(type.__dict__["__dict__"].__get__(cls).items()):
            if isinstance(found, types.MemberDescriptorType) and name not in ("__dict__", "__weakref__"):
                with contextlib.suppress(AttributeError, TypeError, ValueError):
                    held.append(found.__get__(value, type(value)))
    stays = is_a(value, logging.Logger, *_STAYS) or any(is_a(one, *_STAYS) for one in held)
    return [] if stays else held
