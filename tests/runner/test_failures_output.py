"""Test outputs that cannot be written: folders, permissions, full disks, missing encoders."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import bmfgraph, faulty, frames_in, message_has
from tests.runner.conftest import Workplace

Fails = Callable[..., str]


@pytest.mark.wide
def test_an_output_that_is_no_place_for_a_file(place: Workplace, clips: Path) -> None:
    (place.folder / "folder.mp4").mkdir()
    (place.folder / "file").touch()
    good = f"input={clips / 'good.mp4'}"
    for name, part in (
        ("folder.mp4", "is a folder"),
        ("file/out.mp4", "cannot be written .File exists|Not a directory"),
        ("/proc/none/out.mp4", "cannot be written"),
        ("x" * 300 + ".mp4", "cannot be written .File name too long"),
    ):
        message_has(place.run(bmfgraph(good, f"output={name}")).error(), "node 'sink' .encoder.", part, "set pipeline")


@pytest.mark.wide
def test_an_unwritable_folder_or_file(place: Workplace, clips: Path, powerless: list[str]) -> None:
    (place.folder / "locked").mkdir(mode=0o555)
    (place.folder / "kept.mp4").touch(mode=0o444)
    for name in ("locked/out.mp4", "kept.mp4"):
        command = [*powerless, *bmfgraph(f"input={clips / 'good.mp4'}", f"output={name}", "overwrite=true")]
        message_has(place.run(command).error(), "node 'sink'", "cannot be written .Permission denied")


@pytest.mark.wide
def test_the_input_is_not_overwritten(place: Workplace, clips: Path) -> None:
    source = place.folder / "in.mp4"
    source.write_bytes((clips / "good.mp4").read_bytes())
    (place.folder / "link.mp4").symlink_to(source)
    for name in ("in.mp4", "./in.mp4", "link.mp4"):
        message = place.run(bmfgraph("input=in.mp4", f"output={name}")).error(2)
        message_has(message, r"pipeline\.nodes\.sink", "is read by 'source'", "another file")
    assert source.read_bytes() == (clips / "good.mp4").read_bytes()


def test_a_device_is_not_replaced_by_a_file(fails: Fails, place: Workplace, clips: Path) -> None:
    words = (f"input={clips / 'good.mp4'}", "pipeline.nodes.sink.container=matroska")
    message = fails(bmfgraph(*words, "pipeline.nodes.sink.path=/dev/null"))
    message_has(message, "node 'sink'", "a device or a pipe", "encoder=measure")
    assert Path("/dev/null").is_char_device()


@pytest.mark.wide
def test_a_link_as_output_stays_a_link(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    (place.folder / "out.mp4").symlink_to("real.mp4")
    place.run(faulty(f"input={clips / 'good.mp4'}", "output=out.mp4"), env=faulty_kind).success()
    assert place.files() == ["out.mp4", "real.mp4"]
    assert place.output.is_symlink()
    assert frames_in(place.output) == 90


def test_an_encoder_that_this_ffmpeg_lacks(fails: Fails, clips: Path) -> None:
    message = fails(bmfgraph(f"input={clips / 'good.mp4'}", "encoder=x265", "encoder.backend=bmf"))
    message_has(message, "node 'sink'", "no encoder libx265; it has: libx264", "encoder=x264")


def limited(size: int) -> Callable[[], None]:
    """Limit the size of files to ``size`` bytes; called in the new process."""

    def apply() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


@pytest.fixture(scope="module")
def whole_size(clips: Path, tmp_path_factory: pytest.TempPathFactory, faulty_kind: dict[str, str]) -> int:
    """Return the size of the complete output in bytes."""
    place = Workplace(tmp_path_factory.mktemp("whole"))
    place.run(faulty(f"input={clips / 'good.mp4'}", "output=out.mp4"), env=faulty_kind).success()
    return place.output.stat().st_size


@pytest.mark.sample(1)
@pytest.mark.parametrize("missing", [1, None, 100])
def test_a_disk_that_is_full_from_the_start_or_at_the_very_end(
    fails: Fails, clips: Path, faulty_kind: dict[str, str], whole_size: int, missing: int | None
) -> None:
    room = 10_000 if missing is None else whole_size - missing
    command = faulty(f"input={clips / 'good.mp4'}")
    message = fails(command, env=faulty_kind, preexec_fn=limited(room))
    message_has(message, "node 'sink' .encoder.", "room on the disk")


@pytest.mark.wide
def test_a_disk_with_just_enough_room(
    place: Workplace, clips: Path, faulty_kind: dict[str, str], whole_size: int
) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", "output=out.mp4")
    place.run(command, env=faulty_kind, preexec_fn=limited(whole_size)).success()
    assert frames_in(place.output) == 90


@pytest.mark.wide
def test_a_full_file_system(place: Workplace, clips: Path, faulty_kind: dict[str, str], small_disk: Path) -> None:
    command = faulty(f"input={clips / 'good.mp4'}", f"output={small_disk / 'out.mp4'}")
    message_has(place.run(command, env=faulty_kind).error(), "node 'sink'", "No space left", "room on the disk")


@pytest.mark.wide
def test_records_on_a_full_disk(place: Workplace, clips: Path, shared_models: Path) -> None:
    words = (f"input={clips / 'good.mp4'}", "output=out.mp4", "encoder=measure", "records=faces.jsonl")
    model = ("model=ultraface_rfb_320", f"model.file={next(shared_models.glob('*rfb*320*.onnx'))}")
    command = bmfgraph("pipeline=face_detection", *words, *model)
    message = place.run(command, preexec_fn=limited(1000)).error()
    message_has(message, "node 'table' .records.", "File too large", "room on the disk")


@pytest.mark.wide
def test_a_report_that_cannot_be_written(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    good = f"input={clips / 'good.mp4'}"
    (place.folder / "folder").mkdir()
    for name in ("folder", "/proc/none/report.json"):
        message = place.run(faulty(good, "output=out.mp4", f"report={name}"), env=faulty_kind).error(2)
        message_has(message, "report: ", "cannot be written", "a folder of yours")

    words = (good, "output=out.mp4", "encoder=measure", "report=report.json")
    message = place.run(faulty(*words), env=faulty_kind, preexec_fn=limited(100)).error()
    message_has(message, "report: 'report.json' cannot be written .File too large", "the run itself is complete")


@pytest.mark.wide
def test_a_report_to_standard_output(place: Workplace, clips: Path, faulty_kind: dict[str, str]) -> None:
    words = (f"input={clips / 'good.mp4'}", "output=out.mp4", "report=/dev/stdout")
    ended = place.run(faulty(*words), env=faulty_kind).success()
    assert json.loads(ended.out)["frames"] == {"in": 90, "out": 90}


def test_a_reference_that_is_missing(fails: Fails, clips: Path) -> None:
    message = fails(bmfgraph(f"input={clips / 'good.mp4'}", "reference=none.mp4"), 2)
    message_has(message, "reference: 'none.mp4' does not exist")


@pytest.mark.sample(1)
@pytest.mark.parametrize("count", [3, 10])
def test_runs_at_once_and_two_that_write_the_same_file(
    place: Workplace, clips: Path, faulty_kind: dict[str, str], count: int
) -> None:
    names = [f"{number}.mp4" for number in range(count)]
    runs = [
        place.start(faulty(f"input={clips / 'good.mp4'}", f"output={name}", "overwrite=true"), env=faulty_kind)
        for name in (*names, names[0])
    ]
    for running in runs:
        running.wait(60).success()
    assert place.files() == names
    assert [frames_in(place.folder / name) for name in names] == [90] * count
