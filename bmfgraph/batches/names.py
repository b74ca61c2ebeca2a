"""Foresee the names of the files that a clip's run will write, without reading the clip."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from bmfgraph.api import Job
from bmfgraph.batches.entries import Entry
from bmfgraph.compile.name_outputs import filled, with_names, words_of
from bmfgraph.errors import UnplacedError
from bmfgraph.media.naming import input_words, is_object
from bmfgraph.nodes.path_kind import output_fields
from bmfgraph.runner.clips import of_clip

__all__ = ["Names"]

_STEM, _EXTENSION, _RELATIVE, _INDEX = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Stand for the words of a clip; no text contains these code points."""


class Names:
    """The names of the files of many clips. Clips with the same overrides share the work."""

    def __init__(self, configure: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Keep the function that returns the configuration with the overrides of a clip."""
        self._configure = configure
        self._patterns = lru_cache(maxsize=64)(self._read)

    def of(self, entry: Entry) -> list[str]:
        """Return the absolute paths, and the addresses, that the run of a clip writes: outputs, and the report.

        Raises:
            BmfgraphError: The overrides are wrong, or a name has an unknown word.
        """
        words = input_words(entry.clip)
        replaced = {
            f"{_STEM}.{_EXTENSION}": words["name"],
            _STEM: words["stem"],
            _RELATIVE: entry.relative,
            _INDEX: str(entry.index),
        }
        paths = []
        for pattern in self._patterns(json.dumps(entry.changes, sort_keys=True)):
            path = pattern
            for mark, text in replaced.items():
                path = path.replace(mark, text)
            paths.append(path if is_object(path) else os.path.realpath(path))
        return paths

    def _read(self, changes: str) -> list[str]:
        config = of_clip(self._configure(json.loads(changes)), f"{_STEM}.{_EXTENSION}", _INDEX, _RELATIVE)
        spec = Job.from_config(config).spec
        if spec.pipeline is None:
            return []
        nodes, pipeline = dict(spec.pipeline.nodes), spec.pipeline.name
        patterns = []
        for name in nodes:
            node = with_names(name, nodes, pipeline)
            patterns += [getattr(node, field) for field in output_fields(type(node))]
        try:
            patterns.append(spec.report and filled(spec.report, words_of(nodes, nodes, pipeline)))
        except UnplacedError:
            # The check of the first clip says so.
            return []
        return [pattern for pattern in patterns if isinstance(pattern, str)]
