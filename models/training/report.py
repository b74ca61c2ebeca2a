"""Writes what the evaluation found: Markdown tables, and sheets of magnified crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .resample import Picture, luma
from .scoring import ScoredWindow, upscaled
from .upscaler import AnyUpscaler

_CROP = 80  # px of the large frame
_ZOOM = 3
_TITLE = 14  # px above each crop
_LEAST_BORDER = 16  # px that crops keep from the edge of the frame


def markdown(result: Mapping[str, Mapping[str, Any]], mean: str) -> str:
    """Tables of all scores' means.

    Args:
        result: by scale ("x2"): ``stills`` by set and model, ``video`` by input, clip and model.
        mean: the key of the means over the clips.
    """
    parts = []
    for scale, found in result.items():
        if found["stills"]:
            parts += [
                f"## {scale}: stills, Y-PSNR in dB / SSIM\n",
                _table(found["stills"], "{0.psnr:.2f} / {0.ssim:.4f}"),
            ]
        if found["video"]:
            means = {kind: by_clip[mean] for kind, by_clip in found["video"].items()}
            for title, pattern in (
                ("Y-PSNR in dB", "{0.psnr:.2f}"),
                ("SSIM", "{0.ssim:.4f}"),
                ("flicker: PSNR of the frames' differences in dB", "{0.flicker:.2f}"),
            ):
                parts += [f"## {scale}: video, means over the clips, {title}\n", _table(means, pattern)]
            for kind, by_clip in found["video"].items():
                parts += [f"## {scale}: video, {kind}, Y-PSNR in dB\n", _table(by_clip, "{0.psnr:.2f}")]
    return "\n".join(parts)


def _table(by_row: Mapping[str, Mapping[str, Any]], pattern: str) -> str:
    """Models as lines, the keys of ``by_row`` as columns."""
    models = list(next(iter(by_row.values())))
    lines = ["| model | " + " | ".join(by_row) + " |", "| --- |" + " ---: |" * len(by_row)]
    lines += [
        f"| {model} | " + " | ".join(pattern.format(scores[model]) for scores in by_row.values()) + " |"
        for model in models
    ]
    return "\n".join(lines) + "\n"


def crop_sheet(rows: Sequence[tuple[str, ScoredWindow]], models: Sequence[AnyUpscaler]) -> Image.Image:
    """A line for each clip: the most detailed part of the middle frame, original, small and enlarged, magnified.

    Args:
        rows: names and windows.
        models: what to show.
    """
    side = _CROP * _ZOOM
    sheet = Image.new("RGB", ((len(models) + 2) * (side + 2), len(rows) * (side + _TITLE)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (name, window) in enumerate(rows):
        scale = models[0].scale
        high, low = window.high[1], window.low[3].repeat(scale, 0).repeat(scale, 1)
        top, left = _most_detailed(high)
        shown = [(name, high), ("small frame", low)] + [(model.name, upscaled(model, window)[1]) for model in models]
        for column, (title, picture) in enumerate(shown):
            part = Image.fromarray(np.ascontiguousarray(picture[top : top + _CROP, left : left + _CROP]))
            x, y = column * (side + 2), line * (side + _TITLE)
            draw.text((x + 2, y + 1), title, fill="black")
            sheet.paste(
                part.resize((part.width * _ZOOM, part.height * _ZOOM), Image.Resampling.NEAREST), (x, y + _TITLE)
            )
    return sheet


def _most_detailed(picture: Picture) -> tuple[int, int]:
    """Top and left of the crop with the largest mean gradient, away from the border."""
    grey = luma(picture)
    gradient = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    places = [
        (float(gradient[y : y + _CROP, x : x + _CROP].mean()), y, x)
        for y in range(_LEAST_BORDER, max(_LEAST_BORDER + 1, grey.shape[0] - _CROP - _LEAST_BORDER), 16)
        for x in range(_LEAST_BORDER, max(_LEAST_BORDER + 1, grey.shape[1] - _CROP - _LEAST_BORDER), 16)
    ]
    _, top, left = max(places)
    return top, left
