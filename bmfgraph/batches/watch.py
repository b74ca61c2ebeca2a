"""Look for new clips of a folder or a pattern, and wait until they are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from bmfgraph import error_codes as codes
from bmfgraph.batches.entries import Entry
from bmfgraph.batches.remote import ABSENT, State, file_state
from bmfgraph.errors import BmfgraphError
from bmfgraph.system.console import say

__all__ = ["new_entries"]

_POLL = 1.0
"""Seconds between two looks."""


def new_entries(
    entries: Callable[[], Iterable[Entry]], is_known: Callable[[Entry], bool], count: int
) -> Iterator[Entry | None]:
    """Look for new clips for ever; a clip is taken when its size and time are the same in two looks.

    Args:
        entries: Lists the clips that there are.
        is_known: Whether a clip was taken before, or is not to be taken.
        count: Place of the first new clip.

    Yields:
        A new clip, or None if there is none now.
    """
    states: dict[str, State] = {}
    due = 0.0
    while True:
        if time.monotonic() < due:
            yield None
            continue
        due = time.monotonic() + _POLL
        try:
            looked = [(entry, file_state(entry.clip)) for entry in entries() if not is_known(entry)]
        except BmfgraphError as error:
            if error.problems[0].code != codes.REMOTE_FAILURE:
                raise
            # The next look may succeed.
            say(f"new clips cannot be looked for: {error.problems[0].message}")
            continue
        for entry, state in looked:
            if state == ABSENT:
                continue
            if states.pop(entry.clip, None) == state and state[0]:
                yield Entry(count, entry.clip, entry.relative)
                count += 1
            else:
                states[entry.clip] = state
