"""Tell which files the run of a clip reads and writes, before those in a store are fetched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.batches.remote import State, file_state, has_state, is_object, is_remote
from bmfgraph.compile.name_outputs import TemplateError, filled, with_names, words_of
from bmfgraph.errors import ConfigError
from bmfgraph.media.opening import is_url
from bmfgraph.nodes.containers import STANDARD_OUTPUT
from bmfgraph.nodes.path_kind import path_fields

__all__ = ["ClipFiles", "Place", "local_journal", "names_store"]

Place = tuple[str, str]
"""Node and field that name a file; the node is empty for a key of the job."""


@dataclass(frozen=True)
class ClipFiles:
    """The files of a run as its configuration names them, with the words of their names filled in."""

    reads: Mapping[Place, str]
    """Inputs that lie in a store."""
    writes: Mapping[Place, str]
    """All outputs, and the report."""
    title: str
    """Name of the pipeline."""
    streams: tuple[str, ...]
    """Inputs that FFmpeg reads from a web server."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ClipFiles:
        """Return the files of a configuration.

        Raises:
            BmfgraphError: The name of an output has an unknown word.
        """
        spec = Job.from_config(config).spec
        reads: dict[Place, str] = {}
        writes: dict[Place, str] = {}
        nodes = dict(spec.pipeline.nodes) if spec.pipeline else {}
        title = spec.pipeline.name if spec.pipeline else ""
        for name, node in nodes.items():
            named = with_names(name, nodes, title)
            written, read = path_fields(type(node))
            writes |= {(name, field): str(value) for field in written if (value := getattr(named, field))}
            reads |= {(name, field): str(value) for field in read if (value := getattr(node, field))}
        reads |= {("", key): str(value) for key in ("input", "reference") if (value := getattr(spec, key))}
        if spec.report:
            # The check of the report explains a wrong word.
            with contextlib.suppress(TemplateError):
                writes["", "report"] = filled(spec.report, words_of(nodes, nodes, title))
        stored = {place: name for place, name in reads.items() if is_object(name)}
        return cls(stored, writes, title, tuple(filter(is_url, dict.fromkeys(reads.values()))))

    @property
    def are_local(self) -> bool:
        """Whether the run reads and writes nothing in a store."""
        return not self.reads and not any(map(is_object, self.writes.values()))

    @property
    def states(self) -> dict[str, State]:
        """State of each address that is read, where it can be had."""
        addresses = dict.fromkeys([*self.reads.values(), *self.streams])
        return {name: file_state(name) for name in addresses if has_state(name)}

    @property
    def outputs(self) -> list[str]:
        """Absolute paths, and addresses, of what the nodes write."""
        names = [name for (node, _), name in self.writes.items() if node and name != STANDARD_OUTPUT]
        return [name if is_object(name) else os.path.realpath(name) for name in names]


def names_store(value: object) -> bool:
    """Return whether an address of a store occurs in a configuration."""
    if isinstance(value, Mapping):
        return any(map(names_store, value.values()))
    if isinstance(value, list | tuple):
        return any(map(names_store, value))
    return isinstance(value, str) and is_object(value)


def local_journal(name: str) -> str:
    """Return the name of a journal, which is a file of this machine.

    Raises:
        ConfigError: It is an address.
    """
    if is_remote(name):
        raise ConfigError(
            f"{name!r} is an address, and the journal is a file of this machine",
            path="journal",
            hint="name a file here; the clips and their outputs may lie elsewhere",
            code=codes.UNUSABLE_JOURNAL,
        )
    return name
