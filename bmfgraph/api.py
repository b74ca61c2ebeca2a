"""Use bmfgraph from Python: compose a job, check it, plan it, build its engines, run it, or iterate over its results.

No function prints or exits: messages go to the logger ``bmfgraph``, and failures are raised. All objects are frozen and
may be used by several threads. A process composes one configuration at a time, and runs several plans side by side.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.compile.job import CheckResult, compile_job
from bmfgraph.config.builder import Pipeline
from bmfgraph.config.job import Isolation, JobReading, JobSpec, read_job, refuse_unknown_keys
from bmfgraph.config.options import Folders, engine, model
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import ConfigError, one_error
from bmfgraph.plan.plan import Plan, json_ready
from bmfgraph.runner.clips import merged, names_of, of_clip, of_first_clip, refuse_several, run_clips
from bmfgraph.runner.outputs import make_output_folder, with_output_folder
from bmfgraph.runner.preflight import preflight_errors, preflight_warnings, reference_of, report_path
from bmfgraph.system.console import print_problems, say
from bmfgraph.system.obstacles import explaining
from bmfgraph.system.progress import ProgressCallback

if TYPE_CHECKING:
    from bmfgraph.runner.parts import Launch
    from bmfgraph.runner.result import RunResult
    from bmfgraph.runner.side_by_side import ClipResult, ClipRun

__all__ = ["CheckResult", "Job", "compose", "engine", "load", "model"]

Place = str | Path
_ANNOUNCED = (codes.CPU_FALLBACK, codes.PRECISION_FALLBACK)
"""Warnings that a run does not print, because its messages name each engine."""


@dataclass(frozen=True, init=False, repr=False)
class Job:
    """One run of a pipeline, with its inputs, options and outputs.

    Example:
        >>> job = compose("face_detection", input="clip.mp4")
        >>> job.check().ok
        True
    """

    config: Mapping[str, Any]
    """The configuration as plain data."""
    reading: JobReading
    """The typed configuration, and its mistakes."""

    def __init__(self, pipeline: Pipeline | PipelineSpec | Mapping[str, Any], **keys: Any) -> None:
        """Make a job of a pipeline built in code.

        Args:
            pipeline: The pipeline. Its nodes name their files themselves.
            keys: The other keys of :class:`bmfgraph.config.job.JobSpec`, such as ``device`` and ``report``.

        Raises:
            SpecError: The pipeline is wrong.
            ConfigError: A key does not exist.
        """
        refuse_unknown_keys(keys)
        self._set(pipeline.spec() if isinstance(pipeline, Pipeline) else pipeline, keys)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Job:
        """Make a job of a whole configuration: plain data with every interpolation resolved, as reports contain it."""
        job = object.__new__(cls)
        job._set(config.get("pipeline") or {}, {key: value for key, value in config.items() if key != "pipeline"})
        return job

    @explaining
    def clips(self) -> tuple[Job, ...]:
        """Return a job for each clip that ``input`` names; this job alone if it names one."""
        configs = (of_clip(self.config, name, index) for index, name in enumerate(names_of(self.config) or ()))
        return tuple(map(Job.from_config, configs)) or (self,)

    def _set(self, pipeline: PipelineSpec | Mapping[str, Any], keys: Mapping[str, Any]) -> None:
        data = pipeline.model_dump(mode="json") if isinstance(pipeline, PipelineSpec) else pipeline
        values = {key: str(value) if isinstance(value, Path) else value for key, value in keys.items()}
        config = {**json_ready(values), "pipeline": data}
        object.__setattr__(self, "config", config)
        # A node reads one of several clips.
        object.__setattr__(self, "reading", read_job(of_first_clip(config) or {**values, "pipeline": pipeline}))

    def __repr__(self) -> str:
        pipeline = self.spec.pipeline
        return f"<Job {pipeline.name}: {', '.join(pipeline.nodes)}>" if pipeline else "<Job without a pipeline>"

    @property
    def spec(self) -> JobSpec:
        """The configuration; wrong keys have their defaults, and :meth:`check` reports them."""
        return self.reading.spec

    @explaining
    def check(
        self, *, target: Place | None = None, output_folder: Place | None = None, overwrite: bool | None = None
    ) -> CheckResult:
        """Find every mistake before a frame is decoded.

        Args:
            target: A file that ``doctor --json`` wrote on another machine: check for that one.
            output_folder: Check for outputs in that folder instead of their own paths.
            overwrite: Whether outputs may exist. None: as the key ``overwrite`` says.
        """
        if (jobs := self.clips()) != (self,):
            results = [job.check(target=target, output_folder=output_folder, overwrite=overwrite) for job in jobs]
            return merged(results, {str(job.spec.input): job.reading for job in jobs})
        reading = self.reading
        if target is not None:
            reading = replace(reading, spec=self.spec.model_copy(update={"target": str(target)}))
        plan = compile_job(reading)
        moved = plan if output_folder is None else with_output_folder(plan, Path(output_folder))
        found = preflight_errors(moved, reading.spec, deep=output_folder is not None, overwrite=overwrite)
        errors = [*plan.errors, *found]
        # The place in a run is dropped, because the YAML path is enough here.
        mistakes = [replace(problem, place="") for error in errors for problem in error.problems]
        return CheckResult((*mistakes, *preflight_warnings(moved)), plan)

    @explaining
    def plan(self) -> Plan:
        """Compile the job.

        Raises:
            BmfgraphError: Its ``problems`` hold every mistake.
        """
        refuse_several(self.config, "a plan")
        plan = compile_job(self.reading)
        if plan.errors:
            raise one_error(plan.errors)
        return plan

    @explaining
    def build(self, *, progress: ProgressCallback | None = None) -> dict[str, Path]:
        """Build the engines that the store does not have, without a run.

        Args:
            progress: Called with the steps of each build.

        Returns:
            The engine's file, by node name; empty if all models run as they are.

        Raises:
            BmfgraphError: The job is wrong, or an engine cannot be built.
        """
        from bmfgraph.runner.engines import prepare_engines

        plan = self._local_plan()
        print_problems(problem for problem in preflight_warnings(plan) if problem.code in _ANNOUNCED)
        engines = prepare_engines(plan, progress=progress)
        for node, path in engines.items():
            say(f"{node}: {path}")
        if not engines:
            say(f"{plan.name}: its models need no engines")
        return engines

    @explaining
    def run(
        self,
        *,
        progress: ProgressCallback | None = None,
        output_folder: str | Path | None = None,
        overwrite: bool | None = None,
        isolated: bool | Isolation | None = None,
        launch: Launch | None = None,
    ) -> RunResult:
        """Build missing engines, run the pipeline, measure its quality, write its report.

        Args:
            progress: Called while engines are built and frames are processed, on this thread.
            output_folder: Write the outputs there, each under its node's name, instead of to their own paths.
            overwrite: Replace outputs and a report that exist; otherwise they are an error. None: as the key
                ``overwrite`` says.
            isolated: Run in a child process, with limits if it is an Isolation: in parallel with other runs, and safe
                from crashes of native libraries. Classes of nodes must then be importable by name. None: as the key
                ``isolated`` says.
            launch: With the key ``segments``: runs a part of the clip. None: here.

        Raises:
            BmfgraphError: The job is wrong, or the run failed; no output appears under its final name.
        """
        from bmfgraph.runner.engines import prepare_engines
        from bmfgraph.runner.isolated import run_here_or_isolated
        from bmfgraph.runner.parts import run_in_parts
        from bmfgraph.runner.report import finished

        isolated = self.spec.isolated if isolated is None else isolated
        overwrite = bool(self.spec.overwrite) if overwrite is None else overwrite
        plan = self._runnable_plan(output_folder, overwrite=overwrite)
        print_problems(problem for problem in preflight_warnings(plan) if problem.code not in _ANNOUNCED)
        report = report_path(self.spec.report, plan, overwrite=overwrite, make=True)
        reference = reference_of(self.spec.reference, plan)
        prepare_engines(plan, progress=progress)
        if self.spec.segments:

            def here(config: Mapping[str, Any], report: ProgressCallback) -> RunResult:
                part = Job.from_config(config)._runnable_plan(None, overwrite=True)
                return run_here_or_isolated(part, isolated, overwrite=True, progress=report)

            result = run_in_parts(self.config, self.spec, plan, launch or here, overwrite=overwrite, progress=progress)
        else:
            result = run_here_or_isolated(plan, isolated, overwrite=overwrite, progress=progress)
        result = replace(result, config=self.config)
        whole = not self.spec.cut_short
        return finished(result, reference=reference, whole=whole, report=report, overwrite=overwrite)

    @explaining
    def run_each(
        self,
        *,
        parallel: int | None = None,
        on_error: Literal["stop", "skip"] | None = None,
        progress: ProgressCallback | None = None,
        overwrite: bool | None = None,
        isolated: bool | Isolation | None = None,
    ) -> Generator[ClipResult, None, None]:
        """Run the clips that ``input`` names, some of them side by side, and yield each result as its run ends.

        All clips are checked before the first run begins, and engines are in memory once. Closing the iterator cancels
        the runs. With ``report``, a report of all clips is written beside theirs.

        Args:
            parallel: Number of clips that run at once; None: as the key says, like ``on_error``.
            on_error: Whether a clip that fails stops the others.
            progress: Called with the frames of all clips, on this thread.
            overwrite: As for :meth:`run`.
            isolated: As for :meth:`run`.

        Raises:
            BmfgraphError: Two clips would write one file; or a clip failed, and ``on_error`` is ``stop``.
        """

        def runner(job: Job) -> ClipRun:
            return lambda report: job.run(progress=report, overwrite=overwrite, isolated=isolated)

        jobs = [(str(job.spec.input), job.reading, runner(job)) for job in self.clips()]
        spec, replace_files = self.spec, bool(self.spec.overwrite if overwrite is None else overwrite)
        side, rule = parallel or spec.parallel, on_error or spec.on_error
        yield from run_clips(jobs, parallel=side, on_error=rule, progress=progress, overwrite=replace_files)

    @explaining
    def stream(self, *nodes: str, device: str | None = None) -> Generator[Any, None, None]:
        """Run the part of the pipeline that leads to some nodes, and iterate over their outputs.

        No file is written. The pipeline waits if the consumer is slow. Closing the iterator cancels the run.

        Args:
            nodes: The node, or ``node.port`` for another output than its first. With several, the items that belong to
                the same frame come together.
            device: ``cpu`` or ``cuda``: device of the frames and tensors; None: the device of their node.

        Yields:
            A ``FrameItem``, ``DetectionsItem`` or ``TensorsItem`` (see :mod:`bmfgraph.runner.stream`), in presentation
            order; a tuple of them, in the order of ``nodes``, if there are several.

        Raises:
            BmfgraphError: The job is wrong; while iterating, the run failed.

        Example:
            >>> job = compose("face_detection", input="clip.mp4")
            >>> for frame, faces in job.stream("source", "faces"):
            ...     print(frame.pts, frame.numpy().shape, faces.boxes)
        """
        from bmfgraph.runner.engines import prepare_engines
        from bmfgraph.runner.stream import check_streamable, stream_plan, tapped

        if not nodes:
            raise TypeError("stream() needs the name of a node")
        name = ", ".join(nodes)
        reading, tap = tapped(self.reading, nodes)
        plan = self._local_plan(reading)
        check_streamable(plan, tap, device)
        if errors := preflight_errors(plan, self.spec.model_copy(update={"report": None, "reference": None})):
            raise one_error(errors)
        prepare_engines(plan)
        return stream_plan(plan, tap, name, device)

    def _runnable_plan(self, output_folder: Place | None, *, overwrite: bool) -> Plan:
        """Return the plan of a run that can begin."""
        plan = self._local_plan()
        if output_folder is not None:
            plan = with_output_folder(plan, Path(output_folder))
        if errors := preflight_errors(plan, self.spec, deep=output_folder is not None, overwrite=overwrite):
            raise one_error(errors)
        make_output_folder(output_folder)
        return plan

    def _local_plan(self, reading: JobReading | None = None) -> Plan:
        from bmfgraph.runner.engines import ask_builders

        if self.spec.target is not None:
            raise ConfigError(
                "a pipeline is run, and its engines are built, on this machine only",
                path="target",
                hint="leave it out; `check` and `plan` take it",
                code=codes.INVALID_TARGET,
            )
        refuse_several(self.config, "run(), build() or stream()")
        plan = compile_job(reading or self.reading)
        if plan.errors:
            raise one_error(plan.errors)
        return ask_builders(plan)


@explaining
def compose(pipeline: str | None = None, *overrides: str, config_dir: Folders = (), **values: Any) -> Job:
    """Compose a job as the command line does.

    Args:
        pipeline: A pipeline of the packaged configuration or of ``config_dir``, such as ``super_resolution``; or the
            first override, such as ``pipeline=super_resolution``.
        overrides: Group choices and overrides in Hydra's syntax, such as ``engine=fp16`` or ``encoder.crf=20``.
        config_dir: Folders of configuration besides the packaged one.
        values: Values of top-level keys, such as ``input="clip.mp4"``, taken as they are. A config group takes the name
            of an option (``engine="fp16"``), fields to change (``engine={"threads": 1}``), or the result of
            :func:`model` or :func:`engine`.

    Raises:
        ConfigError: The configuration cannot be composed.

    Example:
        >>> compose("super_resolution", "encoder.crf=20", input="clip.mp4", output="x2.mp4").plan().name
        'super_resolution'
    """
    from bmfgraph.config.load import compose_config

    return Job.from_config(compose_config(pipeline, overrides, config_dir, values))


@explaining
def load(source: str | Path | Mapping[str, Any], *overrides: str, config_dir: Folders = (), **values: Any) -> Job:
    """Load a job from a pipeline file or a mapping with the content of one.

    Args:
        source: The file, or a mapping with ``name`` and ``nodes``.
        overrides: As for :func:`compose`.
        config_dir: Folders of configuration besides the packaged one.
        values: As for :func:`compose`.

    Raises:
        ConfigError: The source cannot be read or composed.
    """
    from bmfgraph.config.load import load_config

    return Job.from_config(load_config(source, overrides, config_dir, values))
