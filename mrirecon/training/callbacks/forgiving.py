"""Watching a training without ever ending it."""

import sys
import threading
from abc import ABCMeta
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyExperiment

from mrirecon.errors import MriReconError

Result = TypeVar("Result")


def attempt(name: str, told: set[str], action: Callable[[], Result], otherwise: Result) -> Result:
    """Do something that may fail for any reason; the first failure is told, and none is raised.

    Args:
        name: Name of the part that acts, for the message.
        told: Names whose failure has been told already.
        action: Function to call.
        otherwise: Value to return when it fails.
    """
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - matplotlib, a full disk, a service that is down
        if name not in told:
            told.add(name)
            cause = _cause(error)
            print(  # noqa: T201
                f"WARNING {name} failed ({type(cause).__name__}: {cause}); training goes on, "
                "and further failures of it are not told",
                file=sys.stderr,
            )
        return otherwise


def _cause(error: BaseException) -> BaseException:
    """Return what an error goes back to; loggers hide a full disk behind their own."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        if isinstance(error, MriReconError):
            break
        error = earlier
    return error


def _quiet(before: Callable[[threading.ExceptHookArgs], Any]) -> Callable[..., Any]:
    """Print no traceback of TensorBoard's writing thread, whose failure its logger raises again."""

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if type(arguments.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
            before(arguments)

    return hook


GUARDED = (
    "log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint", "finalize",
)  # fmt: skip


def forgiving(logger: Logger) -> Logger:
    """Let the failures of a logger be told once instead of raised; it stays one of its class."""
    if isinstance(logger, TensorBoardLogger):
        threading.excepthook = _quiet(threading.excepthook)
    logger.__class__ = _guarded_class(type(logger))
    return logger


@cache
def _guarded_class(kind: type[Logger]) -> type[Logger]:
    """Return a subclass whose methods are attempts, and of the same layout in memory."""

    def attempted(name: str) -> Callable[..., Any]:
        def method(self: Logger, *arguments: Any, **named: Any) -> Any:
            return _tried(self, lambda: getattr(kind, name)(self, *arguments, **named))

        return method

    def experiment(self: Logger) -> Any:
        found = _tried(self, lambda: kind.experiment.fget(self))  # type: ignore[attr-defined]
        return DummyExperiment() if found is None else found

    def reduced(self: Logger, _protocol: int) -> tuple[Any, ...]:
        return _rebuilt, (kind, self.__getstate__())  # the class has no name to be found by

    members = {name: attempted(name) for name in GUARDED}
    members |= {"__reduce_ex__": reduced, "__module__": kind.__module__}  # type: ignore[dict-item]
    if hasattr(kind, "experiment"):
        members["experiment"] = property(experiment)  # type: ignore[assignment]
    made = ABCMeta(kind.__name__, (kind,), members)
    return cast(type[Logger], made)


def _tried(logger: Logger, action: Callable[[], Any]) -> Any:
    return attempt(type(logger).__name__, logger.__dict__.setdefault("_told", set()), action, None)


def _rebuilt(kind: type[Logger], state: dict[str, Any]) -> Logger:
    logger = kind.__new__(kind)
    getattr(logger, "__setstate__", logger.__dict__.update)(state)
    return forgiving(logger)
