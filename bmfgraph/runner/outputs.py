"""The files that a run writes: kept under other names until it has succeeded, and checked against what it read."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.system.files import publish, reserve, unwritable

__all__ = ["temporary_outputs", "with_output_folder", "write_error"]


@contextlib.contextmanager
def temporary_outputs(plan: Plan) -> Iterator[tuple[Plan, Callable[[], dict[str, Path]]]]:
    """Every sink writes beside its final name; what it yields renames them, and deletes what is left over."""
    final: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    nodes: list[PlanNode] = []
    try:
        for node in plan:
            if node.written is None:
                continue
            path = Path(node.written)
            final[node.name], parts[node.name] = path, _reserve(node, path)
            nodes.append(node.writing_to(parts[node.name]))

        def publish_all() -> dict[str, Path]:
            for name, path in final.items():
                try:
                    publish(parts[name], path)
                except OSError as error:
                    raise _unwritable(plan.node(name), path, str(error.strerror)) from None
            return final

        yield plan.replace(*nodes), publish_all
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def with_output_folder(plan: Plan, folder: Path) -> Plan:
    """Return the same plan with its files written into that folder, each under its node's name."""
    sinks = ((node, Path(node.written)) for node in plan if node.written)
    return plan.replace(*(node.writing_to(folder / f"{node.name}{path.suffix}") for node, path in sinks))


def write_error(node: PlanNode) -> RunError | None:
    """Why the file of a node cannot be written, as far as can be seen without writing; None if it can, or has none."""
    if node.written is None:
        return None
    path = Path(node.written)
    if re.match(r"\w+://", node.written):
        return RunError(
            node.name,
            node.kind,
            f"output {node.written!r} is an address, and only files are written",
            hint=_elsewhere(node),
            code=codes.UNWRITABLE_OUTPUT,
        )
    # The file that a link leads to, so that the link stays one.
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            return RunError(
                node.name,
                node.kind,
                f"output {str(path)!r} is a folder",
                hint=_elsewhere(node),
                code=codes.UNWRITABLE_OUTPUT,
            )
        if target.exists() and not target.is_file():
            return RunError(
                node.name,
                node.kind,
                f"output {str(path)!r} is a device or a pipe, no file",
                hint=f"{_elsewhere(node)}; encoder=measure writes nothing",
                code=codes.UNWRITABLE_OUTPUT,
            )
    except OSError as error:
        return _unwritable(node, path, str(error.strerror))
    number = unwritable(target)
    return _unwritable(node, path, os.strerror(number)) if number else None


def _reserve(node: PlanNode, path: Path) -> Path:
    """Make an empty file beside ``path``, so that a folder without write permission fails before a frame is decoded."""
    if (refused := write_error(node)) is not None:
        raise refused
    try:
        Path(os.path.realpath(path)).parent.mkdir(parents=True, exist_ok=True)
        return reserve(path)
    except OSError as error:
        raise _unwritable(node, path, str(error.strerror)) from None


def _unwritable(node: PlanNode, path: Path, why: str) -> RunError:
    return RunError(
        node.name,
        node.kind,
        f"output {str(path)!r} cannot be written ({why})",
        hint=_elsewhere(node),
        code=codes.UNWRITABLE_OUTPUT,
    )


def _elsewhere(node: PlanNode) -> str:
    return f"set pipeline.nodes.{node.name}.path to a place where you may write"
