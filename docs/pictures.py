"""Draw the pictures of overlay and redact: python docs/pictures.py [FOLDER]

The faces are those that CenterFace detects in a sample clip. The other results are made up, or follow from the colours
of a frame, because no model for them comes with bmfgraph.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray
from PIL import Image

from bmfgraph import compose
from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.canvas import Canvas
from bmfgraph.stages.items import Result
from bmfgraph.stages.overlay import draw_results, draw_segments, segment_table
from bmfgraph.stages.results import Classes, Detections, Masks

FRAME = 24
BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Source: ITU-R BT.2087."""
Picture = NDArray[np.uint8]
FRAME_OF: Any = None
"""The results are drawn without a pipeline, so that they need no frame."""
NAMES = ("rabbit", "stone", "pebble", "rock")
POINTS: tuple[tuple[int, int], ...] = (
    (497, 365),
    (470, 322),
    (528, 322),
    (448, 300),
    (540, 290),
    (440, 190),
    (545, 195),
    (430, 430),
    (320, 320),
)
POINTS += ((205, 300), (540, 420), (545, 530), (350, 480), (500, 580))
SKELETON = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
    (0, 7),
    (7, 8),
    (8, 9),
    (7, 10),
    (10, 11),
    (7, 12),
    (12, 13),
)


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    car, bunny = (frame("redaction", "source", clip) for clip in ("carphone", "bigbuckbunny"))
    faces = [frame("face_detection", "draw", "carphone")]
    for words in ((), ("style=pixelate",), ("style=fill", "shape=ellipse")):
        faces.append(frame("redaction", "hide", "carphone", *(f"+pipeline.nodes.hide.{word}" for word in words)))
    save(folder / "redaction.png", [enlarged(picture, 2) for picture in faces])
    save(folder / "overlay.png", [objects_in(bunny)[145:605, 48:748]])
    save(folder / "segments.png", [halved(segments_in(bunny))])
    save(folder / "hdr.png", [halved(picture) for picture in (bunny, *high_range(bunny))])
    save(folder / "label_sizes.png", [enlarged(sizes_in(car), 2), sizes_in(enlarged(bunny, 3))[460:748, 1200:1850]])


def frame(pipeline: str, port: str, clip: str, *words: str) -> Picture:
    """Return a frame of a sample clip that leaves a node of a pipeline."""
    stream = compose(pipeline, f"input=${{samples.{clip}}}", "device=cpu", *words).stream(port)
    with contextlib.closing(stream):
        picture: Picture = np.array(next(itertools.islice(stream, FRAME, None)).numpy())
    return picture


def high_range(picture: Picture) -> list[Picture]:
    """Return a picture as HDR10 of up to 400 nits, read with ``hdr: keep`` and with ``hdr: tonemap``.

    The kept one shows the codes of PQ as if they were those of ordinary video, as a player without HDR would.
    """
    linear = (picture / 255.0) ** 2.4 @ BT709_TO_BT2020.T
    power = (linear * 0.04) ** (2610 / 16384)
    codes = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)  # SMPTE ST 2084
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/hdr.mkv"
        with av.open(path, "w") as out:
            stream: Any = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
            stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p10le"
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1
            deep = av.VideoFrame.from_ndarray((codes * 65535).round().astype(np.uint16), format="rgb48le")
            frame = deep.reformat(format="yuv420p10le", dst_colorspace=Colorspace.bt2020, dst_color_range=1)
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            out.mux([*stream.encode(frame), *stream.encode(None)])
        seen = []
        for hdr in ("keep", "tonemap"):
            with contextlib.closing(compose("redaction", f"decoder.hdr={hdr}", input=path).stream("source")) as stream:
                shown = next(iter(stream)).numpy()
            seen.append((shown >> 8).astype(np.uint8) if shown.dtype == np.uint16 else np.array(shown))
    return seen


def style(height: int, **options: Any) -> OverlayParams:
    """Return the default style for a frame of that height."""
    settings: dict[str, Any] = {
        "color": None,
        "thickness": max(1, round(height / 240)),
        "label": True,
        "font_size": max(9, round(height / 32)),
        "opacity": 0.5,
        "keypoint_score": 0.3,
        "skeletons": ((),),
        "backgrounds": (-1,),
    }
    return OverlayParams(**(settings | options))


def with_results(picture: Picture, results: list[Result], params: OverlayParams) -> Picture:
    """Return a copy with results drawn."""
    copy = picture.copy()
    draw_results(Canvas(copy), results, params)
    return copy


def save(path: Path, pictures: list[Picture]) -> None:
    """Write pictures side by side with 256 colours, which keeps the file small."""
    height = max(picture.shape[0] for picture in pictures)
    gap = np.full((height, 8, 3), 255, np.uint8)
    padded = [np.pad(one, ((0, height - len(one)), (0, 0), (0, 0)), constant_values=255) for one in pictures]
    joined = [part for picture in padded for part in (gap, picture)][1:]
    image = Image.fromarray(np.concatenate(joined, axis=1))
    image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {image.width}x{image.height}, {path.stat().st_size // 1000} kB")


def enlarged(picture: Picture, factor: int) -> Picture:
    """Return a picture with each pixel repeated."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def halved(picture: Picture) -> Picture:
    """Return a picture of half the size."""
    return np.array(Image.fromarray(picture).reduce(2))


def objects_in(picture: Picture) -> Picture:
    """Draw an object with mask and keypoints, and rotated boxes."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[: height // 4, : width // 4] * 4
    body = ((x - 420) / 165) ** 2 + ((y - 420) / 150) ** 2 < 1
    head = ((x - 490) / 75) ** 2 + ((y - 350) / 85) ** 2 < 1
    values = (body | head).astype(np.float32)[None]
    rabbit = Detections(
        FRAME_OF,
        np.array([(255, 180, 590, 592)], np.float32),
        np.array([0.93], np.float32),
        np.array([0]),
        NAMES,
        ids=np.array([7]),
        keypoints=np.array([[(*point, 1) for point in POINTS]], np.float32),
        masks=Masks(values, 0.5, Placement(width, height, width // 4, height // 4, 0.25, 0.25, 0, 0)),
    )
    stones = Detections(
        FRAME_OF,
        np.array([(65, 405, 240, 520), (850, 285, 1155, 330), (600, 405, 670, 455), (795, 330, 1030, 420)], np.float32),
        np.array([0.88, 0.81, 0.64, 0.77], np.float32),
        np.array([1, 1, 2, 3]),
        NAMES,
        angles=np.array([0.5, 0.03, 0.1, 0.06], np.float32),
    )
    return with_results(picture, [rabbit, stones], style(height, skeletons=(SKELETON, ())))


def segments_in(picture: Picture) -> Picture:
    """Draw a label map of a quarter of the size, which follows from the colours, and the classes of the frame."""
    height, width = picture.shape[:2]
    small = picture.reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
    red, green, blue = small.transpose(2, 0, 1)
    classes = np.zeros(small.shape[:2], np.uint8)
    classes[np.ptp(small, axis=2) < 40] = 3
    classes[(green > red + 10) & (green > blue + 30)] = 6
    classes[(blue > 150) & (blue > green + 8)] = 8
    params = style(height, backgrounds=(0,))
    copy = picture.copy()
    draw_segments(copy, classes, segment_table(params, 0))
    scores = np.array([0.71, 0.18], np.float32)
    names = ("", "", "", "", "", "", "meadow", "pasture")
    return with_results(copy, [Classes(FRAME_OF, scores, np.array([6, 7]), names)], params)


def sizes_in(picture: Picture) -> Picture:
    """Draw boxes that crowd, in the default style for the size of the picture."""
    height, width = picture.shape[:2]
    boxes = np.array([(0.34, 0.2, 0.6, 0.7), (0.36, 0.27, 0.46, 0.5), (0.5, 0.27, 0.64, 0.6), (0.7, 0.5, 1.2, 0.9)])
    corners = (boxes * (width, height, width, height)).astype(np.float32)
    scores = np.array([0.9, 0.85, 0.8, 0.75], np.float32)
    return with_results(picture, [Detections(FRAME_OF, corners, scores, np.arange(4), NAMES)], style(height))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
