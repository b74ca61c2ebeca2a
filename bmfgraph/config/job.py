"""Define the whole configuration of one run, with a type for every key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, ValidationError, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.config.pipeline import PipelineSpec, read_pipeline
from bmfgraph.config.pydantic_errors import problems_of
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import ConfigError, FieldError, Problem, did_you_mean, join_sorted
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.path_kind import FilePath, OutputPath, path_kind
from bmfgraph.system.text import size_bytes

__all__ = [
    "ASIDE",
    "GROUPS",
    "Group",
    "Isolation",
    "JobReading",
    "JobSpec",
    "Policy",
    "path_keys",
    "read_job",
    "refuse_unknown_keys",
    "shard_of",
    "share",
]


@dataclass(frozen=True)
class Group:
    """Metadata of a key that is a config group: its value is the content of the option that is chosen."""


@dataclass(frozen=True)
class Aside:
    """Metadata of a key that changes neither the results nor the speed of a run."""


@dataclass(frozen=True)
class Code:
    """Metadata of a key whose mistakes have a code and a hint of their own."""

    code: str
    hint: str


class Isolation(Frozen):
    """Limits of a run in a child process, for input that is not trusted."""

    memory: int | str | None = Field(default=None, description="Bytes that it may allocate, such as 4GiB.")
    seconds: float | None = Field(default=None, gt=0, description="Time that it may take.")

    @field_validator("memory")
    @classmethod
    def _is_size(cls, value: int | str | None) -> int | str | None:
        if value is not None and size_bytes(value) is None:
            raise FieldError(f"{value!r} is not a size in bytes", "write it like 4GiB, 500MB or 4000000000")
        return value

    @property
    def memory_bytes(self) -> int | None:
        """The limit on memory in bytes; None without one."""
        return None if self.memory is None else size_bytes(self.memory)


class Resources(Frozen):
    """What a worker of a cluster, or a job, needs; Ray places as many workers on a node as fit."""

    cpus: float | None = Field(
        default=None, ge=0, le=4096, description="CPU cores; null: one, or less if there are fewer cores than workers."
    )
    gpus: float | None = Field(
        default=None,
        ge=0,
        le=64,
        description="GPUs, such as 0.25 for four workers on each; null: where the pipeline may use one, one for each "
        "worker, or less if there are fewer GPUs than workers.",
    )
    minutes: int = Field(default=60, ge=1, description="For `launcher=slurm`: time after which Slurm ends a job.")
    partition: str | None = Field(default=None, min_length=1, description="For `launcher=slurm`: where jobs run.")


def share(wanted: float | None, total: float, workers: int) -> float:
    """Return what each worker gets of a resource: what the user wants, else one, or an equal share if there is less.

    Args:
        wanted: The user's number; None leaves it open.
        total: What the cluster has.
        workers: Number of workers.
    """
    return min(1.0, math.floor(1e4 * total / workers) / 1e4) if wanted is None else wanted


class Policy(Frozen):
    """Rules of the user's organisation."""

    deny: tuple[Annotated[str, Field(min_length=2)], ...] = Field(
        default=(), description="Licences that no model may have, by their SPDX ids, such as AGPL-3.0."
    )


_Times = Annotated[int, Field(ge=0, le=100)]
Options = Annotated[Mapping[str, Any] | None, Group()]


class JobSpec(Frozen):
    """The configuration of one run.

    A pipeline file may add keys of its own, such as ``records``, for its nodes to refer to. They are kept in
    ``model_extra``; the fields that refer to them check their values.
    """

    model_config = ConfigDict(extra="allow")

    pipeline: Annotated[PipelineSpec | None, Group()] = None
    model: Options = None
    engine: Options = None
    decoder: Options = None
    encoder: Options = None
    input: FilePath | tuple[FilePath, ...] | None = Field(
        default=None,
        description="The clip to read. Several: a list, a folder of videos, a pattern such as clips/*.mp4, or a .txt "
        "file with a name in each line. `batch` also takes a manifest (.csv, .jsonl) with overrides for each clip, and "
        "s3:// and gs:// addresses.",
    )
    parallel: Annotated[int, Aside()] = Field(
        default=1, ge=1, le=64, description="Number of clips that run side by side in this process."
    )
    on_error: Annotated[Literal["stop", "skip"], Aside()] = Field(
        default="stop", description="With several clips: whether a clip that fails stops the others."
    )
    journal: Annotated[OutputPath | None, Aside()] = Field(
        default=None,
        description="With several clips: the file that notes which are done, so that the next run of the same command "
        "does the others. `batch` has one by default.",
    )
    shard: Annotated[str | None, Aside()] = Field(
        default=None, description="For `batch`: the part of the clips to run, such as 3/16 for the third of 16 parts."
    )
    segments: Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=10_000)] | None, Aside()] = Field(
        default=None,
        description="Run a clip in so many parts, `parallel` of them side by side, and join them without coding again; "
        "auto: parts of about five minutes.",
    )
    retries: Annotated[_Times | Mapping[str, _Times], Aside()] = Field(
        default=0, description="For `batch`: how often a clip that fails is run again: a number, or one for each code."
    )
    launcher: Annotated[Literal["local", "ray", "slurm"] | None, Aside()] = Field(
        default=None,
        description="For `batch`, and for the cells of a sweep: where they run. By default here; `local`: a process "
        "for each clip; `ray`: the workers of a Ray cluster; `slurm`: a job of Slurm for each clip.",
    )
    resources: Annotated[Resources, Aside()] = Field(
        default=Resources(), description="For `launcher=ray` and `slurm`: what a worker or a job needs."
    )
    watch: Annotated[StrictBool, Aside()] = Field(
        default=False, description="For `batch`: also take files that appear later in the folder or pattern."
    )
    output: OutputPath | None = Field(
        default=None,
        description="The file to write; its extension sets the container. The words `{stem}` and `{name}` of the "
        "input, `{pipeline}` and `{model}` may stand in it; with several clips also `{relpath}`, the path below the "
        "folder of all, without extension, and `{index}`, the place in the list.",
    )
    overwrite: Annotated[StrictBool | None, Aside()] = Field(
        default=False, description="Replace outputs and reports that exist; otherwise they are an error."
    )
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Code(codes.INVALID_DEVICE, "auto runs models on the GPU where there is one")
    ] = Field(default="auto", description="Where models run.")
    latency: float | None = Field(
        default=None,
        ge=0,
        description="Most seconds of video that travel together from node to node, 0 for single frames. By default as "
        "many frames as are fastest.",
    )
    report: Annotated[OutputPath | None, Aside()] = Field(
        default=None, description="Write the run's report there, as JSON; the words of `output` may stand in it."
    )
    reference: Annotated[FilePath | None, Aside()] = Field(
        default=None, description="A clip to measure the output's PSNR against."
    )
    target: Annotated[FilePath | None, Aside()] = Field(
        default=None, description="Check and plan for the machine that `doctor --json` described in that file."
    )
    progress: Annotated[StrictBool | None, Aside()] = Field(default=True, description="Show progress bars.")
    debug: Annotated[StrictBool | None, Aside()] = Field(default=False, description="Print tracebacks with errors.")
    isolated: Annotated[StrictBool | Isolation | None, Aside()] = Field(
        default=False, description="Run in a child process: true, or its limits."
    )
    policy: Annotated[Policy | None, Aside()] = Field(
        default=None, description="Rules for the models that a pipeline may use."
    )
    sweep: Annotated[SweepOptions | None, Aside()] = None
    samples: Annotated[Mapping[str, Any] | None, Aside()] = Field(
        default=None, description="Short clips that come with the extra `samples`."
    )

    @field_validator("shard")
    @classmethod
    def _is_shard(cls, value: str | None) -> str | None:
        if value is not None:
            shard_of(value)
        return value

    @property
    def cut_short(self) -> bool:
        """Whether an input is read from its start but not to its end, so that a reference may be longer."""
        return self.pipeline is not None and any(node.cut_short() for node in self.pipeline.nodes.values())


def refuse_unknown_keys(keys: Iterable[str]) -> None:
    """Refuse keys that no configuration has.

    Raises:
        ConfigError: It names the first of them.
    """
    known = JobSpec.model_fields
    for key in keys:
        if key not in known:
            message = f"there is no such key{did_you_mean(key, known)}; keys: {join_sorted(known)}"
            raise ConfigError(message, path=key, hint="correct it, or leave it out", code=codes.UNKNOWN_CONFIG_KEY)


def shard_of(text: str) -> tuple[int, int]:
    """Return the part, from 0, and the number of parts that the key ``shard`` names.

    Raises:
        FieldError: The text is not PART/PARTS, with a part of 1 to PARTS.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    part, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= parts:
        raise FieldError(
            f"{text!r} is no part of a whole", "write PART/PARTS, from 1/PARTS to PARTS/PARTS, such as 3/16"
        )
    return part - 1, parts


GROUPS = tuple(
    name for name, field in JobSpec.model_fields.items() if any(isinstance(mark, Group) for mark in field.metadata)
)
"""The keys that are config groups."""
ASIDE = tuple(
    name for name, field in JobSpec.model_fields.items() if any(isinstance(mark, Aside) for mark in field.metadata)
)
"""The keys that change neither the results nor the speed of a run."""


def path_keys() -> tuple[str, ...]:
    """Return the dotted keys, of the job and of the groups ``model`` and ``engine``, whose values name a file."""
    return tuple(_path_keys())


def _path_keys() -> Iterator[str]:
    # Specs of nodes are slow to import, and most callers need only the keys of the job.
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec

    for prefix, spec in (("", JobSpec), ("model.", ModelSpec), ("engine.", EngineOptions)):
        yield from (f"{prefix}{name}" for name, field in spec.model_fields.items() if path_kind(field) == "file")


@dataclass(frozen=True)
class JobReading:
    """A configuration as far as it is right."""

    spec: JobSpec
    """Wrong keys have their defaults; wrong nodes are left out."""
    problems: tuple[Problem, ...] = ()
    """Every mistake, each at its YAML path."""
    lost_nodes: tuple[str, ...] = ()
    """Names of the nodes that are left out."""


def read_job(data: Mapping[str, Any]) -> JobReading:
    """Check a configuration.

    Args:
        data: Plain data, with every interpolation resolved; ``pipeline`` may be a PipelineSpec already.

    Returns:
        The job as far as the data are right, and every mistake.
    """
    pipeline = data.get("pipeline")
    lost: list[str] = []
    problems: list[Problem] = []
    if not isinstance(pipeline, PipelineSpec):
        pipeline, problems, lost = read_pipeline(pipeline)
    shell = {str(key): value for key, value in data.items()} | {"pipeline": pipeline}
    try:
        spec = JobSpec.model_validate(shell)
    except ValidationError as error:
        mistakes = [_with_own_code(problem) for problem in problems_of(error, shell, JobSpec, "")]
        wrong = {problem.path.partition(".")[0] for problem in mistakes}
        spec = JobSpec.model_validate({key: value for key, value in shell.items() if key not in wrong})
        problems = [*mistakes, *problems]
    return JobReading(spec, tuple(problems), tuple(lost))


def _with_own_code(problem: Problem) -> Problem:
    field = JobSpec.model_fields.get(problem.path)
    own = next((mark for mark in field.metadata if isinstance(mark, Code)), None) if field else None
    return replace(problem, code=own.code, hint=own.hint) if own else problem
