"""Write the picture of a plan as PNG, for places that accept no SVG."""

from __future__ import annotations

from importlib import resources

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.scene import draw_plan
from bmfgraph.plan.views.svg import write_svg

__all__ = ["SCALE", "font_files", "plan_png"]

SCALE = 2
"""Px of the PNG for each px of the picture."""
_FONT = "Source Sans Pro"


def plan_png(plan: Plan) -> bytes:
    """Return the picture of the plan as the bytes of a PNG file, ``SCALE`` times as large as the SVG.

    The font is a package of its own, so the picture is the same on every machine. Fonts of the system are used only for
    letters that it lacks.
    """
    import resvg_py

    svg = write_svg(draw_plan(plan), fonts=f"'{_FONT}'")
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=SCALE, font_files=font_files())


def font_files() -> list[str]:
    """Return the paths of the font's regular and bold files."""
    folder = resources.files("font_source_sans_pro") / "files"
    return [str(folder / f"SourceSansPro-{weight}.ttf") for weight in ("Regular", "Semibold")]
