"""Print plans as JSON, table, drawing or BMF's own graph, and the difference of two: the verb ``plan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.config.overrides import title_of
from bmfgraph.engines.certificate import Certificate, load_certificate
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.plan.diff import changed_keys
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.models import models_json, models_text
from bmfgraph.runner.preflight import preflight_warnings
from bmfgraph.sweep.equal import FALLBACKS
from bmfgraph.system.console import say, terminal_console, write_stdout
from bmfgraph.system.files import make_parent, write_whole
from bmfgraph.system.text import shortened

__all__ = ["diff_job", "plan_job", "plan_runs"]

_PIPE_WIDTH = 160


def plan_job(data: dict[str, Any], form: str = "--json", output: str | None = None) -> None:
    """Print the plan of a configuration, or write it to a file.

    Args:
        data: The composed configuration.
        form: One of ``PLAN_FORMATS``.
        output: The file to write, instead of standard output.

    Raises:
        BmfgraphError: The configuration is wrong, or the file cannot be written.
    """
    plan = Job.from_config(data).plan()
    if form == "--png":
        if output is None:
            raise ConfigError(
                "a PNG goes into a file", path="--png", hint="add --output plan.png", code=codes.INVALID_ARGUMENT
            )
        from bmfgraph.plan.views.png import plan_png

        _write(output, plan_png(plan))
    elif form == "--table":
        table = _table(plan, for_people=output is None and sys.stdout.isatty())
        models = models_text(plan)
        models += "".join(f"{name}: {certificate}\n" for name, certificate in _certificates(plan).items())
        if output is None:
            write_stdout(table, colored=True)
            write_stdout(models)
        else:
            _print_or_write(table + models, output)
    else:
        _print_or_write(_text(plan, form), output, exact=True)


def plan_runs(
    runs: Iterable[tuple[dict[str, str], dict[str, Any]]], form: str = "--json", output: str | None = None
) -> None:
    """Print the plans of a sweep's runs: as one JSON array, or one after the other.

    Args:
        runs: The varied keys of each run with their values, and its configuration.
        form: One of ``PLAN_FORMATS``.
        output: The file to write, instead of standard output.

    Raises:
        BmfgraphError: A configuration is wrong, or the file cannot be written.
    """
    if form != "--json":
        for varied, data in runs:
            say(title_of(varied))
            plan_job(data, form, output)
        return
    plans = []
    for varied, data in runs:
        try:
            plans.append({"run": varied, "plan": _as_json(Job.from_config(data).plan())})
        except BmfgraphError:
            say(title_of(varied))
            raise
    _print_or_write(json.dumps(plans, indent=2) + "\n", output, exact=True)


def diff_job(first: Mapping[str, Any], second: Mapping[str, Any], *, form: str = "", output: str | None = None) -> int:
    """Print what differs between the plans of two configurations.

    Args:
        first: A configuration.
        second: Another one.
        form: ``--json``, or empty for text.
        output: The file to write, instead of standard output.

    Returns:
        Exit code 1 if the plans differ, else 0, as diff does.
    """
    from bmfgraph.plan.diff import diff_json, plan_diff

    if form not in ("", "--json"):
        raise ConfigError(f"diff takes no {form}", hint="it prints text, or --json", code=codes.INVALID_ARGUMENT)
    plans = Job.from_config(first).plan(), Job.from_config(second).plan()
    differ = plans[0].as_json() != plans[1].as_json()
    if form:
        _print_or_write(json.dumps(diff_json(*plans), indent=2) + "\n", output, exact=True)
    else:
        _print_or_write(plan_diff(*plans) if differ else _no_difference(first, second, plans), output)
    return int(differ)


def _no_difference(first: Mapping[str, Any], second: Mapping[str, Any], plans: Iterable[Plan]) -> str:
    """Say why two configurations have equal plans, in a line."""
    keys = [key for key in changed_keys(first, second) if key.partition(".")[0] != "pipeline"]
    keys = keys or list(changed_keys(first, second))
    fallbacks = (problem for plan in plans for problem in preflight_warnings(plan) if problem.code in FALLBACKS)
    reasons = [f"{shortened(', '.join(keys), 80)} changes nothing in the plan"] if keys else ["the same configuration"]
    reasons += dict.fromkeys(problem.message for problem in fallbacks)
    return f"no difference here: {'; '.join(reasons)}\n"


def _table(plan: Plan, *, for_people: bool) -> str:
    """Draw the table: in colours and as wide as the terminal only for people."""
    from bmfgraph.plan.views.table import plan_table

    console = terminal_console(width=None if for_people else _PIPE_WIDTH, force_terminal=None if for_people else False)
    with console.capture() as captured:
        console.print(plan_table(plan))
    return captured.get()


def _text(plan: Plan, form: str) -> str:
    if form == "--mermaid":
        from bmfgraph.plan.views.mermaid import plan_mermaid

        return plan_mermaid(plan)
    if form == "--svg":
        from bmfgraph.plan.views.svg import plan_svg

        return plan_svg(plan)
    if form == "--bmf":
        from bmfgraph.runner.export import bmf_graph

        return json.dumps(bmf_graph(plan), indent=2) + "\n"
    return json.dumps(_as_json(plan), indent=2) + "\n"


def _as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan, and beside it what its hash does not cover: origins of its models' values, and certificates."""
    models = models_json(plan)
    certificates = {name: asdict(certificate) for name, certificate in _certificates(plan).items()}
    beside = {"models": models, "parity": certificates}
    return plan.as_json() | {key: value for key, value in beside.items() if value}


def _certificates(plan: Plan) -> dict[str, Certificate]:
    """Return the certificate of each node whose model was compared with its origin, by node name."""
    loaded = {
        node.name: load_certificate(engine.sha256, node.spec.declaration(node)) for node, engine in plan.engines()
    }
    return {name: certificate for name, certificate in loaded.items() if certificate is not None}


def _print_or_write(text: str, output: str | None, *, exact: bool = False) -> None:
    if output is None:
        write_stdout(text, exact=exact)
    else:
        _write(output, text.encode(errors="replace"))


def _write(output: str, data: bytes) -> None:
    path = Path(output)
    try:
        make_parent(path)
        write_whole(path, data)
    except OSError as error:
        raise ConfigError(
            f"{output!r} cannot be written ({error.strerror})",
            path="--output",
            hint="name a file in a folder that you may write to",
            code=codes.UNWRITABLE_OUTPUT,
        ) from None
