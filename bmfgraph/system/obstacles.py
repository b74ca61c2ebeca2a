"""Recognise failures with a cause outside bmfgraph: too little memory, too few threads, a module in the way."""

from __future__ import annotations

import errno
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, Problem, first_line
from bmfgraph.system.limits import memory_is_tight, memory_limits, threads_are_tight

__all__ = ["LESS_MEMORY", "MORE_THREADS", "explained", "explaining", "obstacle", "shortage"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LESS_MEMORY = "give it more memory, or use less: smaller frames, engine.batch=1, encoder.threads=1, engine.threads=1"
MORE_THREADS = (
    "raise the limit (ulimit -u, or pids.max of the control group), or set encoder.threads=1, engine.threads=1"
)
_MEMORY = (
    "cannot allocate memory",
    "can't allocate memory",
    "failed to allocate memory",
    "failed to map segment",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "insufficient memory",
)
_THREADS = ("can't start new thread", "thread creation failed", "thread constructor failed", "failed to create thread")
_AGAIN = "resource temporarily unavailable"
"""Text of EAGAIN, which is the error of a thread that cannot be started, but has other causes, too."""
_BY_LIBRARIES = (codes.NODE_FAILURE, codes.ENGINE_LOAD_FAILURE, codes.ENGINE_BUILD_FAILURE)
"""Codes of failures whose messages come from libraries."""
_PACKAGES = frozenset(
    "PIL av bmf click decord filelock hydra numpy omegaconf onnx onnxruntime platformdirs pydantic rich torch".split()  # noqa: SIM905
)
"""Packages that bmfgraph imports."""


def shortage(text: str, *, memory: bool = False) -> Problem | None:
    """Find out whether a failure has come from too little memory or too few threads.

    Args:
        text: The message of the failure.
        memory: Whether the failure is known to be one of memory.

    Returns:
        The problem, without a place; None if there is enough.
    """
    lower = text.lower()
    threads = any(words in lower for words in _THREADS)
    # A library may need more thread-local data than is reserved, however much memory there is.
    memory = memory or (any(words in lower for words in _MEMORY) and "static tls" not in lower)
    if memory or memory_is_tight():
        limits = ", ".join(f"{limit.name} is {limit.value / 1e6:,.0f} MB" for limit in memory_limits())
        return Problem(
            "", f"memory is short{f' ({limits})' if limits else ''}: {text}", codes.MEMORY_SHORT, LESS_MEMORY
        )
    if threads or threads_are_tight():
        return Problem("", f"no thread can be started: {text}", codes.THREADS_SHORT, MORE_THREADS)
    return None


def obstacle(error: BaseException) -> Problem | None:
    """Find out whether the surroundings of the process explain an exception.

    Args:
        error: Any exception but a BmfgraphError.

    Returns:
        The problem, without a place; None if the exception has another cause.
    """
    for cause in _chain(error):
        text = f"{type(cause).__name__}: {first_line(cause)}".rstrip(": ")
        memory = isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM)
        if memory or any(words in text.lower() for words in (*_MEMORY, *_THREADS, _AGAIN)):
            problem = shortage(text, memory=memory)
            if problem is not None:
                return problem
    if (module := _foreign_module()) is not None:
        name, file = module
        return Problem(
            "",
            f"{str(file)!r} stands in the way of the module {name!r}: Python searches the script's folder first",
            codes.MODULE_IN_THE_WAY,
            "rename it, or move the script to another folder",
        )
    return None


def explained(error: BaseException) -> BmfgraphError | None:
    """Return an error that explains an exception by the surroundings of the process; None if they do not."""
    place = ""
    if not isinstance(error, BmfgraphError):
        problem = obstacle(error)
    else:
        reported, *_ = error.problems
        if reported.code not in _BY_LIBRARIES or not any(words in reported.message.lower() for words in _MEMORY):
            return None
        problem, place = shortage(reported.message), reported.place or reported.path
    return BmfgraphError(problem.message, hint=problem.hint, code=problem.code, place=place) if problem else None


def explaining(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function raise a BmfgraphError where the surroundings of the process explain an exception."""

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if (explanation := explained(error)) is None:
                raise
            raise explanation from error

    return call


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from or after."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _foreign_module() -> tuple[str, Path] | None:
    """Return a module of the script's folder that was imported, or could not be, in place of a library's; its file."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(script).resolve().parent if script else Path.cwd()
    # Only the first folder of the path comes before the libraries.
    if not sys.path or Path(sys.path[0]).resolve() != folder or folder.name in ("site-packages", "dist-packages"):
        return None
    for name in sorted({path.stem for path in folder.iterdir()} & (_PACKAGES | sys.stdlib_module_names)):
        spec = importlib.machinery.PathFinder.find_spec(name, [str(folder)])
        if spec is None or spec.origin is None:
            continue
        module = sys.modules.get(name)
        # A module that failed is not in the table; one of Python's own may never have been asked for.
        if getattr(module, "__file__", None) == spec.origin or (module is None and name in _PACKAGES):
            return name, Path(spec.origin)
    return None
