"""Compare models with bicubic: halve a clip, double it again, and measure the luma PSNR against the original.

    python benchmarks/quality.py                                   # the sample clip, every x2 model
    python benchmarks/quality.py --models vsr_x2_fast_video --frames 24 --clip clip.mp4
    python benchmarks/quality.py --models vsr_x2_fast_video vsr_x2_temporal --picture docs/before_after.png

The clip is halved by swscale's bicubic filter and encoded by x264 at --crf. Bicubic doubling is measured on its frames
directly. The output of a model is measured as the pipeline writes it, encoded again at crf 12; this costs the models a
little and bicubic nothing.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bmfgraph import compose

MODELS = (
    "vsr_x2_fast_video",
    "vsr_x2_fast",
    "vsr_x2_quality",
    "vsr_x2_quality_video",
    "vsr_x2_sharp",
    "vsr_x2_temporal",
)
BICUBIC = "BICUBIC"


def halve(clip: Path, half: Path, whole: Path, frames: int, crf: float) -> int:
    """Write the first frames at half size, and the same frames at full size and lossless; return their number."""
    count = 0
    with av.open(str(clip)) as source, av.open(str(half), "w") as small, av.open(str(whole), "w") as big:
        stream = source.streams.video[0]
        outs = []
        for container, scale, quality in ((small, 2, crf), (big, 1, 0)):
            out = container.add_stream("libx264", rate=stream.average_rate, options={"crf": str(quality)})
            out.width, out.height = stream.width // scale // 2 * 2, stream.height // scale // 2 * 2
            out.pix_fmt = "yuv420p"
            outs.append((container, out))
        for frame in itertools.islice(source.decode(stream), frames or None):
            for container, out in outs:
                container.mux(out.encode(frame.reformat(out.width, out.height, "yuv420p", interpolation=BICUBIC)))
            count += 1
        for container, out in outs:
            container.mux(out.encode(None))
    return count


def luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the luma plane, uint8 [height, width]."""
    plane: Any = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def bicubic(half: Path, whole: Path) -> float:
    """Return the mean luma PSNR (dB) of the half clip doubled by swscale's bicubic filter."""
    values = []
    with av.open(str(half)) as small, av.open(str(whole)) as big:
        for frame, original in zip(small.decode(video=0), big.decode(video=0), strict=True):
            doubled = frame.reformat(original.width, original.height, "yuv420p", interpolation=BICUBIC)
            error = np.mean((luma(doubled).astype(float) - luma(original)) ** 2)
            values.append(10 * np.log10(255**2 / error))
    return float(np.mean(values))


def upscaled(model: str, half: Path, whole: Path, folder: Path) -> tuple[float, float]:
    """Return the luma PSNR (dB) of the pipeline's output and its speed (frames per second)."""
    output = folder / f"{model}.mp4"
    job = compose("super_resolution", f"model={model}", "encoder.crf=12", input=half, output=output, reference=whole)
    result = job.run(isolated=True)
    assert result.quality is not None
    return result.quality["psnr_y"], result.fps


def sample_clip() -> Path:
    """Return the sample clip, which is fetched if it is missing."""
    # The sample clip is the default input.
    return Path(compose("super_resolution").plan().node("source").params.path)


def nth_frame(clip: Path, number: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Return one frame, resized by swscale's bicubic filter if a size (width, height) is given."""
    with av.open(str(clip)) as container:
        frame = next(itertools.islice(container.decode(video=0), number, None))
        width, height = size or (frame.width, frame.height)
        pixels = frame.reformat(width, height, "rgb24", interpolation=BICUBIC).to_ndarray()
        return Image.fromarray(pixels)


def picture(target: Path, half: Path, whole: Path, outputs: dict[str, Path], number: int, box: list[int]) -> None:
    """Draw the same part of a frame side by side, three times enlarged: bicubic, each model, the original."""
    original = nth_frame(whole, number)
    images = {"bicubic": nth_frame(half, number, original.size)}
    images |= {name: nth_frame(path, number) for name, path in outputs.items()} | {"original": original}
    left, top, width, height = box
    sheet = Image.new("RGB", ((width * 3 + 6) * len(images) - 6, height * 3 + 24), "white")
    for place, (name, image) in enumerate(images.items()):
        part = image.crop((left, top, left + width, top + height)).resize(
            (width * 3, height * 3), Image.Resampling.NEAREST
        )
        sheet.paste(part, (place * (width * 3 + 6), 24))
        ImageDraw.Draw(sheet).text(
            (place * (width * 3 + 6) + 4, 3), name, fill="black", font=ImageFont.load_default(15)
        )
    sheet.save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", help="default: the sample clip")
    parser.add_argument("--frames", type=int, default=0, help="0: all")
    parser.add_argument("--crf", type=float, default=12, help="crf of the halved clip")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--picture", type=Path, help="file for a comparison of one frame")
    parser.add_argument("--frame", type=int, default=100, help="number of the frame in the picture")
    parser.add_argument("--box", type=int, nargs=4, default=[560, 300, 128, 128], help="left top width height")
    options = parser.parse_args()
    clip = Path(options.clip) if options.clip else sample_clip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half, whole = folder / "half.mp4", folder / "whole.mp4"
        count = halve(clip, half, whole, options.frames, options.crf)
        base = bicubic(half, whole)
        print(f"{clip.name}, {count} frames, halved by bicubic, coded at crf {options.crf:g}; luma PSNR in dB")
        print(f"{'bicubic':<20}{base:8.2f}")
        for model in options.models:
            value, fps = upscaled(model, half, whole, folder)
            print(f"{model:<20}{value:8.2f}  {value - base:+.2f}  {fps:6.1f} fps", flush=True)
        if options.picture:
            outputs = {model: folder / f"{model}.mp4" for model in options.models}
            picture(options.picture, half, whole, outputs, min(options.frame, count - 1), options.box)


if __name__ == "__main__":
    main()
