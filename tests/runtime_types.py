"""Shapes and types of the package's functions, checked at run time in every test.

jaxtyping's import hook decorates all functions, which compiles two checks for each: eight times
what the imports take. A test process calls few of them, so the checks of a function are made when
it is called first.
"""

import dataclasses
import functools
from types import FunctionType

import jaxtyping

eager = jaxtyping.jaxtyped


def install():
    """Check what is imported of the package from now on."""
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook(  # an int is welcome where a float is expected, as PEP 484 has it
        "mrirecon", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )


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
        if not made:
            made.append(eager(function, typechecker=typechecker))
        return made[0](*arguments, **named)

    made = []
    return first
