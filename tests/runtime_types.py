"""Shapes and types of the package's functions, checked at run time in every test.

jaxtyping's import hook decorates all functions. Two things keep that from taking most of the time
of the tests: the checks of a function are compiled when it is called first, and in one test they
are made once for arguments of the same types, shapes and precisions, so that iterations cost
nothing.
"""

import dataclasses
import functools
import inspect
from contextlib import contextmanager
from types import FunctionType
from unittest import mock

import jaxtyping
import numpy as np
import torch
from beartype import BeartypeConf, beartype

eager = jaxtyping.jaxtyped
STATE = {"checking": True}

# an int is welcome where a float is expected, as PEP 484 has it
TYPECHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))


def install():
    """Check what is imported of the package from now on."""
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook("mrirecon", "tests.runtime_types.TYPECHECKER")


def forget():
    """Check every function again, whatever it was called with before: another test begins."""
    for seen in called:
        seen.clear()
    called.clear()


@contextmanager
def unchecked():
    """Check nothing meanwhile: the checks are more than a compiler can trace."""
    with mock.patch.dict(STATE, checking=False):
        yield


def checked(function=None, *, typechecker):
    """Take the place of ``jaxtyping.jaxtyped``, for all that the hook decorates with it."""
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if isinstance(function, type):
        made = vars(function).get("__init__")  # by the data class itself, not by its base
        if dataclasses.is_dataclass(function) and isinstance(made, FunctionType):
            function.__init__ = checked(made, typechecker=typechecker)
        return function
    if not isinstance(function, FunctionType):
        return eager(function, typechecker=typechecker)

    @functools.wraps(function)
    def first(*arguments, **named):
        __tracebackhide__ = True
        if not STATE["checking"]:
            return function(*arguments, **named)
        kinds = kinds_of((*arguments, *named.values()), named) if named else kinds_of(arguments)
        if kinds in seen:
            return function(*arguments, **named)
        if not made:
            made.append(compiled(function, typechecker))
        result = made[0](*arguments, **named)
        if not seen:
            called.append(seen)
        seen.add(kinds)
        return result

    made, seen = [], set()
    return first


called = []
"""What the functions that the present test has called were called with."""


class Arrays(dict):
    """Tell of types, each looked at once, whether their objects have a shape and a precision."""

    def __missing__(self, one):
        self[one] = issubclass(one, torch.Tensor | np.ndarray)
        return self[one]


ARRAYS = Arrays()


def kinds_of(arguments, names=()):
    """Tell arguments apart that a check may tell apart."""
    types = [type(one) for one in arguments]
    sizes = [(one.shape, one.dtype) for one in arguments if ARRAYS[type(one)]]
    return *types, *sizes, *names


def compiled(function, typechecker):
    """One function with its checks, rather than jaxtyping's three, unless it yields."""
    if inspect.isgeneratorfunction(function):
        return eager(function, typechecker=typechecker)
    checks = typechecker(function)

    @functools.wraps(function)
    def sized(*arguments, **named):
        __tracebackhide__ = True
        with eager("context"):  # sizes that have a name are the same throughout the call
            return checks(*arguments, **named)

    return sized
