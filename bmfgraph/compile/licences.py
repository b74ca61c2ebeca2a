"""Refuse models whose licence `policy.deny` names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Plan

__all__ = ["denies", "without_denied_models"]

_ANY_SUFFIX = r"(?:-only|-or-later|\+)?"


def denies(denied: str, licence: str) -> bool:
    """Return whether a text names a licence.

    Args:
        denied: SPDX id, such as AGPL-3.0. Without ``-only`` and ``-or-later``, it stands for both.
        licence: Text of an exporter or a user: an id, an expression of ids, or such as
            ``AGPL-3.0 License (https://ultralytics.com/license)``.

    Example:
        >>> denies("GPL-3.0", "AGPL-3.0-only"), denies("agpl-3.0", "AGPL-3.0 License")
        (False, True)
    """
    base = re.sub(r"-only$|-or-later$|\+$", "", denied.strip(), flags=re.IGNORECASE)
    # People write "Apache 2.0" and "AGPLv3", too.
    parts = [re.escape(part).replace(r"\.0", r"(?:\.0)?") for part in base.split("-")]
    name = r"[\s_-]*(?:licen[cs]e[\s,]*)?(?:version\s*)?v?".join(parts)
    suffix = _ANY_SUFFIX if base == denied.strip() else f"(?:{re.escape(denied.strip()[len(base) :])})?"
    return re.search(rf"(?<![\w.-]){name}{suffix}(?![\w+-]|\.\d)", licence, re.IGNORECASE) is not None


def without_denied_models(plan: Plan, denied: Sequence[str]) -> Plan:
    """Take every model out of the plan whose licence is denied, with an error for each.

    Args:
        plan: The compiled plan.
        denied: SPDX ids.
    """
    for name, model in plan.models().items():
        for licence in model.licences:
            rule = next((rule for rule in denied if denies(rule, licence.value)), None)
            if rule and plan.has(name):
                where = "model.licence" if licence.origin == "YAML" else f"the {licence.origin} of {model.file}"
                error = PlanError(
                    name,
                    f"model {model.name!r} has the licence {licence.value!r} by {where}, and policy.deny has {rule}",
                    hint="choose another model, or take the licence out of policy.deny",
                    code=codes.DENIED_LICENCE,
                )
                plan = plan.without(name, error)
    return plan
