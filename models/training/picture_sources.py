"""Which pictures of the gathered sources are taken, and under what licence each of them comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

# Licences that ``strict`` keeps: Creative Commons (BY, BY-SA, CC0), the public domain and the project's own
# drawings.
_FREE_LICENCE = re.compile(r"CC0|CC-BY|[Pp]ublic [Dd]omain|^own$")


@dataclass(frozen=True)
class SourceGroup:
    """Pictures of one source.

    Attributes:
        pattern: glob below the folder that ``sources.sh`` fills.
        licence: what the source as a whole states.
        exclude: regular expression; a picture whose relative path matches is left out (drawings, flat
            gradients, portrait duplicates of a landscape picture, pictures of unclear origin).
        metadata: whose metadata file beside the picture overrides ``licence``, if any.
    """

    pattern: str
    licence: str
    exclude: str | None = None
    metadata: Literal["plasma", "palapeli"] | None = None


@dataclass(frozen=True)
class SourcePicture:
    """One picture: its file, its path relative to the sources' folder, and its licence."""

    path: Path
    name: str
    licence: str


SOURCE_GROUPS = (
    SourceGroup(
        "git/budgie_*.jpg",
        "CC0-1.0",
        r"valley-coral|valley-midnight|waves-(midnight|slate)|saturnian|abstract-spiral|nasty-star|geo-forest|temp"
        r"|apollo|accelerated|ufo-galaxy|spiral-firework",
    ),
    SourceGroup(
        "git/pop_*.jpg",
        "CC0-1.0 (Unsplash before June 2017)",
        r"spacex|nasa-53884|jake-hills|ng-32703|sebastien",
    ),
    SourceGroup("git/elem_*.jpg", "CC0-1.0 (Unsplash before June 2017)", r"SpaceX"),
    SourceGroup("git/linku_*.jpg", "CC-BY-SA-4.0 / CC-BY-4.0", r"color-profile"),
    SourceGroup(
        "lomiri-wallpapers-*/usr/share/backgrounds/*.jpg",
        "CC-BY-4.0 / CC-BY-SA-4.0 / CC0",
        r"Painting|Infinite|umang|Fossa",
    ),
    SourceGroup(
        "plasma-workspace-wallpapers_4%3a5.*/usr/share/wallpapers/*/contents/images*/*",
        "GPL-2+ (package)",
        r"1080x1920|720x1440|1622x2880|icon|ColdRipple|DarkestHour|EveningGlow|Grey|images_dark|Altai|Cascade|Elarun"
        r"|Konqui|IceCold|PastelHills",
        metadata="plasma",
    ),
    SourceGroup(
        "plasma-workspace-wallpapers_4%3a6.*/usr/share/wallpapers/*/contents/images*/5120x2880.*",
        "GPL-2+ (package)",
        r"Altai|Flow|Honey|IceCold|Kay|Milky|Patak|SafeL|Shell|Volna|_dark|Orionids|Nuvole|Nexus",
        metadata="plasma",
    ),
    SourceGroup(
        "mate-backgrounds*/usr/share/backgrounds/mate/*/*",
        "GPL-2+",
        r"Stripes|Silk|Spring|Arc-|Elephants_|Elephants\.jpg|GreenTrad|Waves|xml|Gulp|MATE|Ubuntu-Mate|Flow|Aqua",
    ),
    SourceGroup("palapeli-data_4%3a26*/usr/share/palapeli/collection/*.jpg", "GPL-2+ (package)", metadata="palapeli"),
    SourceGroup(
        "ukui-wallpapers*/usr/share/backgrounds/*",
        "CC-BY-SA-3.0",
        r"city|desert|rollpaper|fluent|firstgen|calla|focal|goldfish|rhythm",
    ),
    SourceGroup(
        "gnome-backgrounds_43*/usr/share/backgrounds/gnome/*-l.webp",
        "GPL-2+ (package)",
        r"vnc|wood|adwaita|truchet|licorice|symbolic",
    ),
    SourceGroup("skimage/*", "CC0-1.0 / public domain"),
    SourceGroup("sklearn/*.jpg", "CC-BY-2.0"),
)


def is_free_licence(licence: str) -> bool:
    """Whether a licence is CC0, public domain, CC-BY, CC-BY-SA or the project's own."""
    return _FREE_LICENCE.search(licence) is not None


def find_pictures(sources: Path, strict: bool = False) -> Iterator[SourcePicture]:
    """Yields the pictures to train on, in an order that depends on the sources alone.

    Args:
        sources: folder filled by ``sources.sh``.
        strict: leave out everything that is under a copyleft software licence (GPL, LGPL, GFDL).
    """
    for group in SOURCE_GROUPS:
        names = sorted(path.relative_to(sources).as_posix() for path in sources.glob(group.pattern))
        for name in names:
            path = sources / name
            if path.is_symlink() or path.suffix.lower() not in PICTURE_SUFFIXES:
                continue
            if group.exclude is not None and re.search(group.exclude, name):
                continue
            licence = _licence_of(path, group)
            if is_free_licence(licence) or not strict:
                yield SourcePicture(path, name, licence)


def _licence_of(path: Path, group: SourceGroup) -> str:
    """The licence in the picture's own metadata file where its source has such files, else the group's."""
    if group.metadata == "plasma":
        wallpaper = next(parent.parent for parent in path.parents if parent.name == "contents")
        for metadata in (wallpaper / "metadata.json", wallpaper / "metadata.desktop"):
            if metadata.exists():
                text = metadata.read_text(encoding="utf-8")
                found = re.search(r'License"?\s*[:=]\s*"?([A-Za-z0-9.\-]+)', text)
                if found:
                    return found[1]
    elif group.metadata == "palapeli":
        found = re.search(r"License=(.+)", path.with_suffix(".desktop").read_text(encoding="utf-8"))
        if found:
            return found[1].strip()
    return group.licence
