"""Fill in the words of the names of written files, such as ``{stem}_{pipeline}.mp4``."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from bmfgraph import error_codes as codes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import PlanError, UnplacedError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.path_kind import output_fields
from bmfgraph.plan.plan import Plan, Ref

__all__ = ["TemplateError", "filled", "name_outputs", "specs_of", "with_names", "words_of"]

_WORDS = {
    "stem": "there is no input that the file is made of",
    "name": "there is no input that the file is made of",
    "relpath": "`input` names one clip",
    "index": "`input` names one clip",
    "pipeline": "",
    "model": "there is no model on the way to the file",
}
"""The words, and why one may be missing."""


class TemplateError(UnplacedError):
    """The name of a file has an unknown word, or a brace without its partner."""


@compiler_pass()
def name_outputs(plan: Plan) -> Plan:
    """Replace the words in the names of the files that nodes write."""
    specs = specs_of(plan)
    errors: list[PlanError] = []
    for node in plan:
        try:
            named = with_names(node.name, specs, plan.name)
        except PlanError as error:
            errors.append(error)
        else:
            plan = plan if named is node.spec else plan.replace(replace(node, spec=named))
    for reason in errors:
        plan = plan.without(reason.node, reason)
    return plan


def specs_of(plan: Plan) -> dict[str, NodeSpec]:
    """Return the specs of a plan's nodes by name, in running order."""
    return {node.name: cast(NodeSpec, node.spec) for node in plan}


def with_names(node: str, specs: Mapping[str, NodeSpec], pipeline: str) -> NodeSpec:
    """Return the spec of a node with the words in its files' names filled in.

    Args:
        node: Name of the node.
        specs: The specs of all nodes, by name.
        pipeline: Name of the pipeline.

    Raises:
        PlanError: A name has an unknown word, or a brace without its partner.
    """
    spec = specs[node]
    names: dict[str, str] = {}
    for field in output_fields(type(spec)):
        template = getattr(spec, field)
        if not isinstance(template, str) or not {"{", "}"} & set(template):
            continue
        try:
            names[field] = filled(template, words_of(_upstream(node, specs), specs, pipeline))
        except TemplateError as error:
            raise PlanError(node, f"{field} {template!r}: {error}", hint=error.hint, code=error.code) from None
    return spec.model_copy(update=names) if names else spec


def words_of(nodes: Iterable[str], specs: Mapping[str, NodeSpec], pipeline: str) -> dict[str, str]:
    """Return the words of a file's name; those of several inputs, or models, are joined by hyphens.

    Args:
        nodes: The nodes on the way to the file, in running order.
        specs: The specs of all nodes, by name.
        pipeline: Name of the pipeline.
    """
    words: dict[str, dict[str, None]] = {"pipeline": {pipeline: None}}
    for node in nodes:
        for word, value in specs[node].words().items():
            words.setdefault(word, {})[value] = None
    # A slash in the name of a model starts no folder.
    return {word: "-".join(values).replace("/", "_") for word, values in words.items()}


def filled(template: str, words: Mapping[str, str]) -> str:
    """Replace the words of a template.

    Args:
        template: Text with words in braces; ``{{`` and ``}}`` stand for braces.
        words: The words that there are.

    Raises:
        TemplateError: A word is unknown, or a brace has no partner.
    """
    hint = "write {{ and }} for braces that belong to the name"
    parts = []
    try:
        for text, word, form, conversion in string.Formatter().parse(template):
            parts.append(text)
            if word is None:
                continue
            if word not in words or form or conversion:
                allowed = join_sorted(f"{{{known}}}" for known in words)
                if word not in words and (reason := _WORDS.get(word)):
                    raise TemplateError(
                        f"{{{word}}} is unknown here, because {reason}; allowed: {allowed}",
                        "name the file without it",
                        code=codes.UNKNOWN_NAME_WORD,
                    )
                meant = "" if word in _WORDS else did_you_mean(word, _WORDS)
                written = "{" + word + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "") + "}"
                raise TemplateError(
                    f"{written} is no word of a name{meant}; allowed: {allowed}",
                    "use one of them; {{ and }} stand for braces that belong to the name",
                    code=codes.UNKNOWN_NAME_WORD,
                )
            parts.append(words[word])
    except ValueError:
        raise TemplateError("a brace has no partner", hint, code=codes.UNKNOWN_NAME_WORD) from None
    return "".join(parts)


def _upstream(node: str, specs: Mapping[str, NodeSpec]) -> Iterator[str]:
    """List the nodes that a node depends on, in the order of ``specs``."""
    found, waiting = set[str](), [node]
    while waiting:
        name = waiting.pop()
        if name in specs and name not in found:
            found.add(name)
            waiting += [Ref.parse(text).node for text in specs[name].inputs]
    return (name for name in specs if name in found)
