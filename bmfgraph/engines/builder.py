"""Find out which TensorRT an interpreter builds engines with: from its files, or by running it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import InstallError
from bmfgraph.system.machine import Flavour, distribution_names
from bmfgraph.system.processes import child, ended, last_lines
from bmfgraph.system.temporary import temporary_folder
from bmfgraph.system.untrusted import has_form, open_regular, read_bounded

__all__ = ["SCRIPT", "UNKNOWN", "BuilderVersion", "builder_version", "installed_version"]

SCRIPT = Path(__file__).with_name("trt_process.py")
UNKNOWN = "unknown"
"""The version in the key of an engine whose builder does not tell its version without being run."""
_TIMEOUT = 120.0
_ANSWER_BYTES = 1 << 20
_ANSWER = {"library": str, "version": str, "strongly_typed": bool, "has_bf16": bool}
_SYSTEM_PACKAGES = re.compile(rb"^include-system-site-packages\s*=\s*true\s*$", re.IGNORECASE | re.MULTILINE)
_HINT = "name an interpreter that has TensorRT, or leave engine.python out"


@dataclass(frozen=True)
class BuilderVersion:
    """The TensorRT with which an interpreter builds engines."""

    library: str
    version: str
    strongly_typed: bool
    """Whether the network's own types carry the precision, instead of a builder flag."""
    has_bf16: bool


def installed_version(python: str, runtime: Flavour, node: str = "") -> str:
    """Return the version of TensorRT in an interpreter's environment, or ``UNKNOWN``, without running anything.

    The names of folders in the environment tell the version. A wrapper script has no environment that could be known.

    Args:
        python: The interpreter.
        runtime: The product.
        node: The node that the error names.

    Raises:
        InstallError: There is no such program.
    """
    program = Path(_program(python, node))
    names = distribution_names(runtime)
    versions = {
        match[2]
        for site in _site_packages(program)
        for folder in site.glob("*.dist-info")
        if (match := re.fullmatch(r"(.+)-([^-]+)\.dist-info", folder.name)) and match[1].lower() in names
    }
    return versions.pop() if len(versions) == 1 else UNKNOWN


def _site_packages(program: Path) -> Iterator[Path]:
    """Yield the folders from which an interpreter imports packages; none for a program of another kind."""
    if program == Path(sys.executable):
        yield from map(Path, sys.path)
        return
    # The interpreter of a virtual environment is a link to that of a system.
    real, root = Path(os.path.realpath(program)), program.absolute().parent.parent
    with contextlib.suppress(OSError), open_regular(real) as file:
        if file.read(4) != b"\x7fELF":
            return
    prefixes = [real.parent.parent]
    with contextlib.suppress(OSError):
        settings = read_bounded(root / "pyvenv.cfg", _ANSWER_BYTES)
        prefixes = [root, *(prefixes if _SYSTEM_PACKAGES.search(settings) else [])]
    for prefix in prefixes:
        for name in (real.name, "python3"):
            yield from prefix.glob(f"lib*/{name}/*-packages")


def builder_version(python: str | None, runtime: str, node: str = "") -> BuilderVersion:
    """Run an interpreter to ask it for its TensorRT.

    Args:
        python: The interpreter; None: this one.
        runtime: ``tensorrt`` or ``tensorrt_rtx``.
        node: The node that the error names.

    Raises:
        InstallError: The interpreter does not run, or has no such library.
    """
    interpreter = _program(python or sys.executable, node)
    command = [interpreter, "-u", str(SCRIPT), "--version", runtime]
    try:
        with temporary_folder() as folder, child(command, folder / "log") as process:
            assert process.stdout is not None
            timer = threading.Timer(_TIMEOUT, process.kill)
            timer.start()
            try:
                answer = _last_object(process.stdout.read(_ANSWER_BYTES))
                code = process.wait()
            finally:
                late = not timer.is_alive()
                timer.cancel()
            last = last_lines(folder / "log", 1).strip() or ended(code)
    except OSError as error:
        raise _error(f"the interpreter {interpreter!r} cannot be run ({error.strerror})", node) from None
    if late:
        raise _error(f"the interpreter {interpreter!r} does not answer within two minutes", node)
    if has_form(answer, {"error": str, "hint": str}):
        raise _error(answer["error"], node, answer["hint"])
    if not has_form(answer, _ANSWER):
        raise _error(f"{interpreter!r} does not say which TensorRT it has: {last}", node)
    return BuilderVersion(**{name: answer[name] for name in _ANSWER})


def _program(python: str, node: str) -> str:
    """Return the path of a program. Raises InstallError where there is none."""
    path = shutil.which(python)
    if path is None:
        number = errno.EACCES if Path(python).exists() else errno.ENOENT
        raise _error(f"the interpreter {python!r} cannot be run ({os.strerror(number)})", node)
    return path


def _last_object(text: str) -> Any:
    """Return the last line that is a JSON object, as trt_process.py writes it; None if there is none."""
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(value := json.loads(line), dict):
                return value
    return None


def _error(message: str, node: str, hint: str = _HINT) -> InstallError:
    path = f"pipeline.nodes.{node}" if node else ""
    return InstallError(message, hint=hint, code=codes.UNUSABLE_ENGINE_BUILDER, path=path)
