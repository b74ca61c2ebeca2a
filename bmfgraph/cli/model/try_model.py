"""Run a model on one picture, draw what it finds, and compare that with its origin: the verb ``model try``."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job, load
from bmfgraph.cli.model.results import as_record, record_lines
from bmfgraph.compile.job import compile_job
from bmfgraph.engines.certificate import Certificate, store_certificate
from bmfgraph.errors import BmfgraphError, ConfigError, one_error
from bmfgraph.media.parity import Parity, Record, compare_records, read_records
from bmfgraph.nodes.registry import reader_of
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import BundleSpec, FrameSpec, PortType, TensorSpec
from bmfgraph.runner.stream import tapped
from bmfgraph.system.console import say, write_json, write_stdout
from bmfgraph.system.files import file_error, file_sha256
from bmfgraph.system.temporary import temporary_folder
from bmfgraph.system.text import counted
from bmfgraph.system.untrusted import read_bounded

__all__ = ["Tolerance", "try_command"]

_CONFIG_LIMIT = 1 << 20
"""Bytes of the largest model file (YAML)."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_SOURCE, _MODEL, _RESULTS, _DRAWN = "source", "run", "results", "draw"
"""Names of the pipeline's nodes."""


@dataclass(frozen=True)
class Tolerance:
    """Differences from the origin that count as equal."""

    iou: float = 0.99
    """Least overlap of boxes."""
    score: float = 0.01
    """Greatest difference of scores."""


def try_command(
    model: str,
    picture: str,
    overrides: Sequence[str] = (),
    *,
    config_dir: Sequence[str] = (),
    output: str | None = None,
    as_json: bool = False,
    against: str | None = None,
    tolerance: Tolerance = Tolerance(0.99, 0.01),
) -> int:
    """Run a model on a picture, or on the first frame of a clip.

    Args:
        model: A model file (YAML), or an option of the group ``model``.
        picture: A picture or a clip.
        overrides: Overrides such as ``model.decode.threshold=0.4``.
        config_dir: Folders of configuration besides the packaged one.
        output: The picture to write; None: ``NAME_try.png`` in the current folder.
        as_json: Print JSON.
        against: File of the origin's predictions, which the results are compared with.
        tolerance: For the comparison.

    Returns:
        The exit code: 1 if the results differ from the origin's.

    Raises:
        BmfgraphError: As in a run.
    """
    origin = read_records(Path(against)) if against is not None else {}
    with temporary_folder() as folder:
        option, folders = _chosen(model, folder)
        still = _still(Path(picture), folder)
        pipeline = {"name": "try", "nodes": _nodes(str(still or picture))}
        job = _with_results(load(pipeline, f"model={option}", *overrides, config_dir=[*folders, *config_dir]))
        plan = _plan(job, _RESULTS)
        # A clip may be named by an interpolation or lie in a package.
        source = Path(picture) if still else Path(plan.node(_SOURCE).files.reads[0])
        target = Path(output) if output is not None else Path(f"{source.stem}_try.png")
        _check_target(target, [Path(text) for text in (source, model, against) if text])
        drawn = _drawn(job)
        records: dict[int, Record] = {}
        plain: list[dict[str, Any]] = []
        with contextlib.closing(job.stream(_RESULTS, drawn)) as items:
            for results, frame in items:
                record = as_record(results)
                records[record["frame"]] = Record.model_validate(record)
                plain.append(record)
                if len(plain) == 1:
                    _save(frame.numpy(), target)
                # A picture's run goes on to its end, where it may warn that nothing was detected.
                if still is None and len(plain) > max(origin, default=0):
                    break
        if not plain:
            raise ConfigError(
                f"{picture!r} gives no frame", path="PICTURE", hint="name another one", code=codes.UNREADABLE_PICTURE
            )
    parity = None
    if origin:
        decode = _decode(plan.node(_MODEL).outputs[0].type)
        labels = getattr(decode, "labels", None) or ()
        thresholds = dict(zip(labels, decode.thresholds(), strict=True)) if labels else {}
        parity = compare_records(
            records, origin, threshold=lambda label: thresholds.get(label, 0.0), tolerance=tolerance.score
        )
    equal = parity is None or parity.within(tolerance.iou, tolerance.score)
    # Looser tolerances answer a question, but are no parity.
    proven = parity is not None and parity.matched > 0 and parity.within(Tolerance.iou, Tolerance.score)
    certificates = _certify(plan, parity, Path(str(against)), source) if parity is not None and proven and equal else []
    _print(plain, target, drawn, parity, equal, certificates, as_json=as_json)
    return 0 if equal else 1


# ----------------------------------------------------------------------------------------------- the pipeline


def _nodes(source: str) -> dict[str, Any]:
    return {
        _SOURCE: {"kind": "decoder", "path": source, "audio": None},
        "prepare": {"kind": "preprocess", "inputs": [f"{_SOURCE}.video"]},
        _MODEL: {"kind": "inference", "inputs": ["prepare"], "model": "${model}", "engine": "${engine}"},
    }


def _with_results(job: Job) -> Job:
    """Add the node that reads the model's task, and one that draws its results where there is such a node."""
    outputs = _plan(job, _MODEL).node(_MODEL).outputs[0].type
    task = getattr(_decode(outputs), "task", "")
    is_picture = isinstance(outputs, TensorSpec) and outputs.meaning is not None
    if (kind := "frames" if is_picture else reader_of(task)) is None:
        raise ConfigError(
            f"no node reads the task {task!r}" if task else "the model's config does not say what its outputs mean",
            path="model.decode",
            hint="set model.decode to a preset such as yolov8, or to the settings of a task",
            code=codes.UNREAD_TASK,
        )
    undrawn = _with_node(job, _RESULTS, {"kind": kind, "inputs": [_MODEL]})
    if isinstance(_plan(undrawn, _RESULTS).node(_RESULTS).outputs[0].type, FrameSpec):
        return undrawn
    whole = _with_node(undrawn, _DRAWN, {"kind": "overlay", "inputs": [f"{_SOURCE}.video", _RESULTS]})
    errors = compile_job(tapped(whole.reading, [_DRAWN])[0]).errors
    drawable = not any(problem.path == f"pipeline.nodes.{_DRAWN}" for error in errors for problem in error.problems)
    return whole if drawable else undrawn


def _with_node(job: Job, name: str, node: dict[str, Any]) -> Job:
    pipeline = job.config["pipeline"]
    return Job.from_config({**job.config, "pipeline": {**pipeline, "nodes": {**pipeline["nodes"], name: node}}})


def _drawn(job: Job) -> str:
    """Return the node whose frames show the results: that which draws, else the results, else the source."""
    assert job.spec.pipeline is not None
    if _DRAWN in job.spec.pipeline.nodes:
        return _DRAWN
    is_frame = isinstance(_plan(job, _RESULTS).node(_RESULTS).outputs[0].type, FrameSpec)
    return _RESULTS if is_frame else _SOURCE


def _plan(job: Job, node: str) -> Plan:
    """Compile the part of a job that leads to a node. Raises BmfgraphError."""
    plan = compile_job(tapped(job.reading, [node])[0])
    if plan.errors:
        raise one_error(plan.errors)
    return plan


def _decode(outputs: PortType) -> Any:
    """Return the model's settings of its task, which belong to the type of its outputs; None where there are none."""
    return outputs.decode if isinstance(outputs, BundleSpec) else None


# ------------------------------------------------------------------------------------------------------ files


def _chosen(model: str, folder: Path) -> tuple[str, list[str]]:
    """Return the option of the group ``model`` for a name or a file, and the folder of configuration that has it."""
    path = Path(model)
    if path.suffix not in (".yaml", ".yml"):
        return model, []
    if path.parent.name == "model" and path.suffix == ".yaml":
        return path.stem, [str(path.parent.parent)]
    try:
        content = read_bounded(path, _CONFIG_LIMIT)
    except OSError as error:
        raise ConfigError(
            file_error(path, "read", error), path="MODEL", hint="correct the path", code=codes.FILE_NOT_FOUND
        ) from None
    # Hydra finds options only in a folder with the name of their group.
    name = re.sub(r"\W", "_", path.stem)
    own = folder / "conf" / "model"
    own.mkdir(parents=True)
    (own / f"{name}.yaml").write_bytes(content)
    return name, [str(own.parent)]


def _still(path: Path, folder: Path) -> Path | None:
    """Return a file with the picture's pixels, upright and as RGB, which the decoder node reads; None for a clip."""
    if path.suffix.lower() not in _PICTURES:
        return None
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "it is damaged, or not a picture"
        raise ConfigError(
            f"{str(path)!r} cannot be read ({reason})",
            path="PICTURE",
            hint="name a png, jpg, webp or bmp file, or a clip",
            code=codes.UNREADABLE_PICTURE,
        ) from None
    still = folder / "picture.png"
    pixels.save(still, compress_level=1)
    return still


def _check_target(target: Path, inputs: Sequence[Path]) -> None:
    """Refuse a picture that would replace an input, or that Pillow cannot write."""
    reason = ""
    if target.suffix.lower() not in _PICTURES:
        reason = f"its name must end in one of {', '.join(_PICTURES)}"
    elif any(target.exists() and path.exists() and target.samefile(path) for path in inputs):
        reason = "it is an input"
    if reason:
        raise ConfigError(
            f"{str(target)!r} cannot be written: {reason}",
            path="--output",
            hint="name another file, such as result.png",
            code=codes.UNWRITABLE_OUTPUT,
        )


def _save(pixels: Any, target: Path) -> None:
    from io import BytesIO

    from PIL import Image

    from bmfgraph.system.files import make_parent, write_whole

    image = Image.fromarray(pixels)
    content = BytesIO()
    image.save(content, Image.registered_extensions()[target.suffix.lower()])
    try:
        make_parent(target)
        write_whole(target, content.getvalue())
    except OSError as error:
        raise ConfigError(
            file_error(target, "written", error),
            path="--output",
            hint="name a file in a folder that you may write to",
            code=codes.UNWRITABLE_OUTPUT,
        ) from None


# ------------------------------------------------------------------------------------------------- comparison


def _certify(plan: Plan, parity: Parity, origin: Path, picture: Path) -> list[Certificate]:
    """Store a certificate for each model of the plan, and return them."""
    certificates = []
    for node, engine in plan.engines():
        certificate = Certificate(
            model=engine.sha256,
            declaration=node.spec.declaration(node),
            date=datetime.datetime.now().date().isoformat(),
            origin=origin.name,
            frames=parity.frames,
            matched=parity.matched,
            least_iou=parity.least_iou,
            score_difference=parity.score_difference,
            picture=file_sha256(picture),
            runtime=f"{_version(engine.runtime)}, {engine.precision}",
        )
        try:
            say(f"certificate: {store_certificate(certificate)}")
        except OSError as error:
            raise BmfgraphError(
                f"the certificate of {node.name} cannot be stored ({error.strerror})",
                hint="set BMFGRAPH_CACHE to a folder that belongs to you",
                code=codes.UNUSABLE_CACHE_FOLDER,
            ) from None
        certificates.append(certificate)
    return certificates


def _version(runtime: str) -> str:
    """Return a runtime with its version, if a distribution of its name is installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{runtime} {importlib.metadata.version(runtime)}"
    return runtime


def _lines(records: Sequence[dict[str, Any]], picture: str) -> Iterator[str]:
    for record in records:
        if len(record) == 1:
            # The results are pixels.
            continue
        lines = record_lines(record)
        yield f"frame {record['frame']}: {counted(len(lines), 'result')}"
        yield from lines
    yield picture


def _print(
    records: Sequence[dict[str, Any]],
    target: Path,
    drawn: str,
    parity: Parity | None,
    equal: bool,
    certificates: Sequence[Certificate],
    *,
    as_json: bool,
) -> None:
    if as_json:
        comparison = None if parity is None else {"equal": equal, **vars(parity)}
        write_json({"output": str(target), "frames": list(records), "against": comparison})
        return
    about = "the picture, because no node draws these results" if drawn == _SOURCE else "the results, drawn"
    for line in _lines(records, f"{target}: {about}"):
        write_stdout(line + "\n")
    if parity is None:
        return
    overlap = f"least IoU {parity.least_iou:.4g}, " if parity.least_iou is not None else ""
    write_stdout(
        f"{'equal to' if equal else 'different from'} the origin: {parity.matched} matched, "
        f"{overlap}greatest score difference {parity.score_difference:.4f}, {len(parity.missing)} missing, "
        f"{len(parity.extra)} extra\n"
    )
    for title, texts in (("missing", parity.missing), ("extra", parity.extra), ("differs", parity.wrong)):
        for text in texts:
            write_stdout(f"  {title}  {text}\n")
