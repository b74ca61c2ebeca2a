"""Takes the listed training pictures and clips out of public repositories.

Each repository is read at the commit that the list pins, from a clone (made when missing) named ``owner+name``.
A file may lie anywhere in that commit's history; its checksum decides which version is taken.

Runs on its own, with the standard library only: ``python extract_git.py --repositories repos --out src``.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

LISTS = tuple(Path(__file__).with_name(f"training_{name}.tsv") for name in ("pictures", "clips"))


class Repository:
    """A clone of a public repository.

    Args:
        name: owner and name, joined by "+".
        clones: folder of the clones; the repository is cloned into it when it is missing.

    Raises:
        subprocess.CalledProcessError: the repository cannot be cloned.
    """

    def __init__(self, name: str, clones: Path) -> None:
        self._folder = clones / name
        if not self._folder.is_dir():
            address = f"https://github.com/{name.replace('+', '/', 1)}"
            subprocess.run(["git", "clone", "-q", "--no-checkout", address, str(self._folder)], check=True)

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(self._folder), *arguments], capture_output=True, check=True).stdout

    def history(self, commit: str) -> dict[str, list[str]]:
        """The blobs of every file that a commit or one before it added or changed, by path, newest first."""
        options = ("--raw", "--no-renames", "--no-abbrev", "--format=")
        log = self._git("-c", "core.quotepath=off", "log", *options, commit).decode()
        blobs: dict[str, list[str]] = defaultdict(list)
        for line in log.splitlines():
            if line.startswith(":"):
                change, path = line.split("\t")
                blob = change.split()[3]
                if set(blob) != {"0"}:  # zeros stand for a deletion
                    blobs[path].append(blob)
        return blobs

    def content(self, blobs: Sequence[str], sha256: str) -> bytes | None:
        """The content of the blob with that SHA-256 in hex; None where none has it."""
        for blob in blobs:
            try:
                content = self._git("cat-file", "blob", blob)
            except subprocess.CalledProcessError:  # missing from a partial clone
                continue
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
        return None


def extract(clones: Path, out: Path, listings: Sequence[Path] = LISTS) -> list[str]:
    """Writes the listed files of repositories into ``out``.

    Args:
        clones: folder of the clones.
        out: the sources' folder; the files come under ``github`` in it.
        listings: see ``picture_sources.listed_pictures``.

    Returns:
        The listed paths that no repository holds.
    """
    clones.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    lines = [line for listing in listings for line in listing.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        name, _, sha256 = line.split("\t")
        kind, source, path = name.split("/", 2)
        if kind == "github":
            wanted[source].append((path, sha256))
    missing = []
    for source, files in wanted.items():
        repository_name, commit = source.split("@")
        repository = Repository(repository_name, clones)
        blobs = repository.history(commit)
        for path, sha256 in files:
            content = repository.content(blobs.get(path, ()), sha256)
            file = out / "github" / source / path
            if content is None:
                missing.append(f"github/{source}/{path}")
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    return missing


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Take the listed pictures and clips out of public repositories.")
    parser.add_argument("--repositories", type=Path, default=Path("repos"), help="folder of the clones")
    parser.add_argument("--out", type=Path, default=Path("src"))
    options = parser.parse_args(arguments)
    for name in extract(options.repositories, options.out):
        sys.stderr.write(f"not found: {name}\n")


if __name__ == "__main__":
    main()
