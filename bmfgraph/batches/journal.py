"""Keep what a batch has done in a file, so that the same command goes on where an earlier one ended in any way.

The journal is a database of SQLite, which survives a killed process at any moment. One process uses it at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bmfgraph import error_codes as codes
from bmfgraph.batches.remote import State, file_state, states_of
from bmfgraph.errors import BmfgraphError, ConfigError, Problem

__all__ = ["Journal", "Row"]

_SCHEMA = 1
_TABLES = """
CREATE TABLE clips (
    key TEXT PRIMARY KEY, place INTEGER, clip TEXT, relative TEXT, changes TEXT, state TEXT, fingerprint TEXT,
    reads TEXT, writes TEXT, frames INTEGER, video REAL, seconds REAL, attempts INTEGER, deaths INTEGER, problems TEXT,
    ended REAL);
CREATE INDEX places ON clips (place);
CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, time INTEGER, begun INTEGER);
CREATE TABLE names (path TEXT PRIMARY KEY, place INTEGER);
"""
_BEGIN = "INSERT INTO files VALUES (?, NULL, NULL, 1) ON CONFLICT (path) DO UPDATE SET begun = 1"
WAITING, RUNNING, DONE, KEPT, FAILED = "waiting", "running", "done", "kept", "failed"


@dataclass(frozen=True)
class Row:
    """An entry of the journal that belongs to the batch."""

    key: str
    place: int
    clip: str
    relative: str
    changes: Mapping[str, Any]
    state: str
    frames: int
    video: float
    """Seconds of video; 0 if unknown."""
    seconds: float
    attempts: int
    deaths: int
    """Number of times in a row that the process ended while the clip ran."""
    problems: tuple[Problem, ...]
    writes: tuple[str, ...]


_COLUMNS = "key, place, clip, relative, changes, state, frames, video, seconds, attempts, deaths, problems, writes"


class Journal:
    """The journal of a batch. Its methods may be called on any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal.

        Raises:
            ConfigError: Another batch uses it, it cannot be written, or it is no journal of this version.
        """
        self.path = path
        self._lock = FileLock(f"{path}.lock", thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"another batch uses {str(path)!r}",
                path="journal",
                hint="wait for its end, or name another journal; parts of one batch have journals of their own",
                code=codes.JOURNAL_IN_USE,
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{str(path)!r} cannot be written ({error.strerror})",
                path="journal",
                hint="name a file in a folder of yours",
                code=codes.UNUSABLE_JOURNAL,
            ) from None
        self._guard = threading.Lock()
        self._states: dict[str, State] = {}
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        try:
            self._base = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._base.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={_SCHEMA};COMMIT;")
            elif version != _SCHEMA:
                raise sqlite3.DatabaseError(f"version {version} instead of {_SCHEMA}")
            # A killed process loses nothing; after a power cut, the last clips may run once more. With a log, no clip
            # waits for the disk; it needs no memory that processes share, because one process has the lock.
            self._base.executescript("PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;")
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{str(self.path)!r} is no journal of this version of bmfgraph ({error})",
                path="journal",
                hint="name another file, or delete this one to run all clips again",
                code=codes.UNUSABLE_JOURNAL,
            ) from None

    def close(self) -> None:
        """Close the file, and let another batch use it."""
        with self._guard:
            self._base.close()
        self._lock.release()

    def _do(self, statement: str, values: Iterable[Any] = ()) -> list[Any]:
        with self._guard, self._explained():
            rows = self._base.execute(statement, [_stored(value) for value in values]).fetchall()
        return [tuple(os.fsdecode(value) if isinstance(value, bytes) else value for value in row) for row in rows]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BmfgraphError(
                f"the journal {str(self.path)!r} cannot be read or written ({error})",
                path="journal",
                hint="make room on the disk, or check who may write the file; the clips that are done are complete",
                code=codes.UNUSABLE_JOURNAL,
            ) from None

    def _do_all(self, statements: Iterable[tuple[str, Iterable[Any]]]) -> None:
        """Do several things in one transaction, which the disk is waited for once."""
        with self._guard, self._explained():
            self._base.execute("BEGIN")
            try:
                for statement, values in statements:
                    self._base.execute(statement, [_stored(value) for value in values])
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    # ------------------------------------------------------------------------------------------ listing

    def begin_listing(self) -> None:
        """Forget which clips belong to the batch, and begin to list them anew.

        Raises:
            BmfgraphError: A store does not tell the state of a file.
        """
        rule = "state IN ('done', 'kept') AND reads || writes LIKE '%://%'"
        done = self._do(f"SELECT reads, writes FROM clips WHERE {rule}")
        self._states = states_of(name for texts in done for text in texts for name in json.loads(text))
        self._do("BEGIN")
        self._do("UPDATE clips SET place = NULL")
        self._do("DELETE FROM names")

    def end_listing(self) -> None:
        """Keep the list."""
        self._do("COMMIT")
        self._states = {}

    def cancel_listing(self) -> None:
        """Drop the list."""
        self._do("ROLLBACK")
        self._states = {}

    def take_name(self, path: str, place: int) -> int | None:
        """Note that a clip writes a file. Return the place of another clip that would write it, too."""
        self._do("INSERT OR IGNORE INTO names VALUES (?, ?)", (path, place))
        owner = int(self._do("SELECT place FROM names WHERE path = ?", (path,))[0][0])
        return None if owner == place else owner

    def list_clip(self, key: str, place: int, clip: str, relative: str, changes: Mapping[str, Any]) -> None:
        """Add a clip to the batch."""
        self._do(
            "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, '', '{}', '[]', 0, 0, 0, 0, 0, '[]', 0) "
            "ON CONFLICT (key) DO UPDATE SET place = excluded.place, relative = excluded.relative",
            (key, place, clip, relative, json.dumps(changes), WAITING),
        )

    def is_up_to_date(self, key: str, fingerprint: str) -> bool:
        """Return whether a clip is done, with the same settings, and its inputs and outputs are as they were."""
        found = self._do("SELECT state, fingerprint, reads, writes FROM clips WHERE key = ?", (key,))
        state, known, reads, writes = found[0]
        if state not in (DONE, KEPT) or known != fingerprint:
            return False
        if any(state != self._state(path) for path, state in json.loads(reads).items()):
            return False
        return all(self.owns(path) for path in json.loads(writes))

    def _state(self, path: str) -> State:
        return self._states.get(path) or file_state(path)

    def set_waiting(self, key: str, video: float) -> int:
        """Note that a clip is to run; return how often the process ended while it ran."""
        self._do(
            "UPDATE clips SET deaths = CASE state WHEN 'running' THEN deaths + 1 ELSE 0 END, state = ?, video = ?, "
            "attempts = 0, problems = '[]' WHERE key = ?",
            (WAITING, video, key),
        )
        return int(self._do("SELECT deaths FROM clips WHERE key = ?", (key,))[0][0])

    def set_kept(self, key: str) -> None:
        """Note that a clip was done before."""
        self._do("UPDATE clips SET state = ? WHERE key = ?", (KEPT, key))

    # ---------------------------------------------------------------------------------------- running

    def owns(self, path: str) -> bool:
        """Return whether a file is as a run of this journal left it, or is of a run that was killed."""
        found = self._do("SELECT size, time, begun FROM files WHERE path = ?", (path,))
        return bool(found) and (bool(found[0][2]) or list(found[0][:2]) == self._state(path))

    def begin(self, key: str, writes: Iterable[str]) -> None:
        """Note that a clip runs, and which files it may write."""
        self._do_all(
            [
                *((_BEGIN, (path,)) for path in writes),
                ("UPDATE clips SET state = ?, attempts = attempts + 1 WHERE key = ?", (RUNNING, key)),
            ]
        )

    def end(
        self,
        key: str,
        fingerprint: str,
        *,
        reads: Mapping[str, State],
        writes: Iterable[str],
        frames: int,
        seconds: float,
    ) -> None:
        """Note that a clip is done, which files it read and wrote, how many frames, and how long it took."""
        wrote = {path: file_state(path, "output") for path in writes}
        values = (DONE, fingerprint, json.dumps(reads), json.dumps(list(wrote)), frames, seconds, time.time(), key)
        self._do_all(
            [
                *(
                    ("INSERT OR REPLACE INTO files VALUES (?, ?, ?, 0)", (path, *state))
                    for path, state in wrote.items()
                ),
                (
                    "UPDATE clips SET state = ?, fingerprint = ?, reads = ?, writes = ?, frames = ?, seconds = ?, "
                    "deaths = 0, problems = '[]', ended = ? WHERE key = ?",
                    values,
                ),
            ]
        )

    def fail(self, key: str, problems: Iterable[Problem], writes: Iterable[str] = ()) -> None:
        """Note that a clip failed, so that the next command runs it again."""
        self._forget(writes)
        told = json.dumps([astuple(problem) for problem in problems])
        self._do(
            "UPDATE clips SET state = ?, problems = ?, attempts = max(attempts, 1), ended = ? WHERE key = ?",
            (FAILED, told, time.time(), key),
        )

    def _forget(self, writes: Iterable[str]) -> None:
        """Note that a run has ended without its files."""
        for path in writes:
            self._do_all(
                [
                    ("UPDATE files SET begun = 0 WHERE path = ?", (path,)),
                    ("DELETE FROM files WHERE path = ? AND size IS NULL", (path,)),
                ]
            )

    def stop(self, key: str, writes: Iterable[str] = ()) -> None:
        """Note that a clip was stopped before its end."""
        self._forget(writes)
        self._do("UPDATE clips SET state = ? WHERE key = ?", (WAITING, key))

    # ---------------------------------------------------------------------------------------- reading

    def rows(self, *states: str) -> Iterator[Row]:
        """List the clips of the batch in these states, or all, in order; few of them are in memory at once."""
        place = -1
        chosen = f"state IN ({','.join('?' * len(states))}) AND" if states else ""
        while found := self._do(
            f"SELECT {_COLUMNS} FROM clips WHERE {chosen} place > ? ORDER BY place LIMIT 100",
            (*states, place),
        ):
            for values in found:
                place = values[1]
                yield _row(values)

    def row(self, key: str) -> Row:
        """Return a clip."""
        return _row(self._do(f"SELECT {_COLUMNS} FROM clips WHERE key = ?", (key,))[0])

    def lists(self, key: str) -> bool:
        """Return whether a clip belongs to the batch."""
        return bool(self._do("SELECT 1 FROM clips WHERE key = ? AND place IS NOT NULL", (key,)))

    def totals(self) -> tuple[int, float]:
        """Return the frames, and the seconds of video, of the clips that are done."""
        found = self._do(
            "SELECT total(frames), total(video) FROM clips WHERE place IS NOT NULL AND state IN ('done', 'kept')"
        )
        return int(found[0][0]), float(found[0][1])

    def counts(self) -> dict[str, int]:
        """Return the number of clips of the batch by state."""
        return dict(self._do("SELECT state, count(*) FROM clips WHERE place IS NOT NULL GROUP BY state"))

    def video(self, *states: str) -> float:
        """Return the seconds of video of the clips in these states."""
        marks = ",".join("?" * len(states))
        found = self._do(
            f"SELECT total(video) FROM clips WHERE place IS NOT NULL AND state IN ({marks})",
            states,
        )
        return float(found[0][0])


def _stored(value: Any) -> Any:
    """Return a value as SQLite takes it: names that are not UTF-8 are bytes."""
    if isinstance(value, str) and any("\udc80" <= letter <= "\udcff" for letter in value):
        return os.fsencode(value)
    return value


def _row(values: tuple[Any, ...]) -> Row:
    *plain, problems, writes = values
    key, place, clip, relative, changes, state, frames, video, seconds, attempts, deaths = plain
    told = tuple(Problem(*fields) for fields in json.loads(problems))
    return Row(
        key, place, clip, relative, json.loads(changes), state, frames, video, seconds, attempts, deaths, told,
        tuple(json.loads(writes)),
    )  # fmt: skip
