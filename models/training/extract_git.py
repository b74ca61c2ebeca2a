"""Takes the photographs out of the four public repositories that the recipe draws on.

Each repository is read at a pinned commit, from a clone (made when missing) named ``owner+name``:
budgie-backgrounds (CC0, every picture in its history), pop-os/wallpapers and elementary/wallpapers (only the
photographs that were on Unsplash before June 2017, CC0), link-u/avif-sample-images (CC-BY-SA-4.0, CC-BY-4.0).

Runs on its own, with the standard library only: ``python extract_git.py --repositories repos --out src/git``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

_BUDGIE, _BUDGIE_COMMIT = "BuddiesOfBudgie/budgie-backgrounds", "82067426f1dde366e9c9038fdbe457c2527525dd"
_POP, _POP_COMMIT = "pop-os/wallpapers", "03a25a14a76eaf3825b980ab50aad6698c1c5a35"
_ELEMENTARY, _ELEMENTARY_COMMIT = "elementary/wallpapers", "f28b86144ba01d788ac61ad198ca16fa9477913f"
_LINK_U, _LINK_U_COMMIT = "link-u/avif-sample-images", "c666a368b73006246694919b5dbcc078317af6cc"

_ELEMENTARY_PHOTOGRAPHS = ("Ashim", "Mr. Lee", "SpaceX", "Sunset by")
_LEAST_BYTES = 20_000  # below it a file is a pointer or an icon


class Repository:
    """A clone of a public repository.

    Args:
        name: owner and name, as in its address.
        clones: folder of the clones; the repository is cloned into it when it is missing.

    Raises:
        subprocess.CalledProcessError: the repository cannot be cloned.
    """

    def __init__(self, name: str, clones: Path) -> None:
        self._folder = clones / name.replace("/", "+")
        if not self._folder.is_dir():
            address = f"https://github.com/{name}"
            subprocess.run(["git", "clone", "-q", "--no-checkout", address, str(self._folder)], check=True)

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(self._folder), *arguments], capture_output=True, check=True).stdout

    def files(self, commit: str, *folders: str) -> Iterator[tuple[str, PurePosixPath]]:
        """The blobs and paths of one commit's files, in the given folders or in all."""
        for line in self._git("ls-tree", "-r", commit, *folders).decode().splitlines():
            meta, path = line.split("\t")
            yield meta.split()[2], PurePosixPath(path)

    def history(self) -> Iterator[tuple[str, PurePosixPath]]:
        """The blobs and paths of every file that any commit added or changed, newest first."""
        log = self._git("log", "--all", "--raw", "--no-abbrev", "--format=").decode()
        for line in log.splitlines():
            if line.startswith(":"):
                fields = line.split("\t")
                blob = fields[0].split()[3]
                if set(blob) != {"0"}:  # zeros stand for a deletion
                    yield blob, PurePosixPath(fields[-1])

    def save(self, blob: str, out: Path) -> bool:
        """Writes a blob to a file; false, without writing, where it is missing from the clone or tiny."""
        try:
            content = self._git("cat-file", "blob", blob)
        except subprocess.CalledProcessError:
            return False
        if len(content) <= _LEAST_BYTES:
            return False
        out.write_bytes(content)
        return True


def extract(clones: Path, out: Path) -> int:
    """Writes the photographs into ``out`` and returns how many files it holds."""
    out.mkdir(parents=True, exist_ok=True)
    clones.mkdir(parents=True, exist_ok=True)

    budgie = Repository(_BUDGIE, clones)
    saved: set[PurePosixPath] = set()
    for blob, path in budgie.history():
        wanted = path.suffix.lower() in (".jpg", ".png") and "temp" not in str(path) and path not in saved
        if wanted and budgie.save(blob, out / f"budgie_{path.name}"):
            saved.add(path)
    pop = Repository(_POP, clones)
    for blob, path in pop.files(_POP_COMMIT, "original"):
        if path.suffix == ".jpg" and not path.name.startswith("samuel"):
            pop.save(blob, out / f"pop_{path.name}")
    elementary = Repository(_ELEMENTARY, clones)
    for blob, path in elementary.files(_ELEMENTARY_COMMIT, "backgrounds"):
        if any(part in path.name for part in _ELEMENTARY_PHOTOGRAPHS):
            elementary.save(blob, out / f"elem_{path.name.replace(' ', '_')}")
    link_u = Repository(_LINK_U, clones)
    for blob, path in link_u.files(_LINK_U_COMMIT):
        if path.suffix == ".jpg" and len(path.parts) == 1:
            link_u.save(blob, out / f"linku_{path.name}")
    return sum(1 for _ in out.iterdir())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Take photographs out of four public repositories.")
    parser.add_argument("--repositories", type=Path, default=Path("repos"), help="folder of the clones")
    parser.add_argument("--out", type=Path, default=Path("src/git"))
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{extract(options.repositories, options.out)} pictures in {options.out}\n")


if __name__ == "__main__":
    main()
