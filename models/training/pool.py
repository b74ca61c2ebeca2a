"""The index of the training pool, and which of its pictures are held out for validation, or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Pictures never trained on, found by a part of their names: animals, people, buildings, text, foliage, water, drawings.
_HELD_OUT = (
    "My_Nut_by",
    "chelsea",
    "coffee",
    "china",
    "roman-colosseum",
    "library-of-congress",
    "handwritten-notes",
    "hospitality-venue",
    "Bridalveil_Fall",
    "swimming-penguin",
    "Forest_by_Moritz",
    "Monument_valley",
)
# Drawings, engravings, paintings in flat colours and computed pictures, found in the same way; all were looked at.
_DRAWN = (
    "ocean-waves",
    "plasma-workspace-wallpapers",
    "f37-01-day",
    "f33-01-dawn",
    "white-and-multicolored",
    "botanic",
    "calanque",
    "nodier-johannot",
    "Blue_by_dariuskws",
    "Murales_by",
    "Monument_valley",
    "Province_of_the_south",
    "drawn page",
)
_INDEX = "index.tsv"


@dataclass(frozen=True)
class PoolPicture:
    """A picture of the pool: its JPEG file, its name in the list of training pictures, and its licence."""

    path: Path
    name: str
    licence: str

    @property
    def held_out(self) -> bool:
        """Whether the picture is kept for validation."""
        return any(part in self.name for part in _HELD_OUT)

    @property
    def drawn(self) -> bool:
        """Whether the picture was drawn or computed, not photographed."""
        return any(part in self.name for part in _DRAWN)


def write_index(pool: Path, pictures: Sequence[PoolPicture]) -> None:
    """Writes ``index.tsv``: file, name in the source, licence, one picture a line."""
    lines = [f"{picture.path.name}\t{picture.name}\t{picture.licence}\n" for picture in pictures]
    (pool / _INDEX).write_text("".join(lines), encoding="utf-8")


def read_index(pool: Path) -> list[PoolPicture]:
    """Reads what ``write_index`` wrote.

    Raises:
        FileNotFoundError: the folder holds no index.
        ValueError: a line has not three fields.
    """
    pictures = []
    for line in (pool / _INDEX).read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) != 3:
            raise ValueError(f"{pool / _INDEX}: expected file, name and licence, found {line!r}")
        pictures.append(PoolPicture(pool / fields[0], fields[1], fields[2]))
    return pictures
