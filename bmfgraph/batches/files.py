"""Tell which files the run of a clip reads and writes, before those in a store are fetched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.batches.remote import has_state, is_object, is_remote
from bmfgraph.compile.name_outputs import TemplateError, filled, with_names, words_of
from bmfgraph.errors import ConfigError
from bmfgraph.media.opening import is_url
from bmfgraph.nodes.path_kind import output_fields, path_kind
from bmfgraph.plan.plan import files_written

__all__ = ["ClipFiles", "Place", "clip_files", "local_journal", "names_store"]

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
            fields = type(node).model_fields
            named = with_names(name, nodes, title)
            written = output_fields(fields)
            read = [field for field in fields if path_kind(fields[field]) == "file" and field not in written]
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


def names_store(value: object) -> bool:
    """Return whether an address of a store occurs in a configuration."""
    if isinstance(value, Mapping):
        return any(map(names_store, value.values()))
    if isinstance(value, list | tuple):
        return any(map(names_store, value))
    return isinstance(value, str) and is_object(value)


def clip_files(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the addresses that a clip's run reads, and the files and addresses that it writes.

    Raises:
        BmfgraphError: The configuration is wrong.
    """
    files = ClipFiles.of(config)
    reads = [name for name in dict.fromkeys([*files.reads.values(), *files.streams]) if has_state(name)]
    if files.are_local:
        return reads, [str(path) for path in files_written(Job.from_config(config).plan())]
    outputs = [name for (node, _), name in files.writes.items() if node]
    return reads, [name if is_object(name) else os.path.realpath(name) for name in outputs]


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
