"""Test the reference of node kinds; test_json_schema.py compares it with docs/nodes.md."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from bmfgraph.config.fields import describe, model_schemas
from bmfgraph.nodes.engine import Shape
from bmfgraph.nodes.model import InputMeaning, Levels, Size, WindowOptions
from bmfgraph.nodes.registry import spec_class
from docs.generate import nodes_reference
from tests.nodes.test_registry import OWN


def sections() -> dict[str, str]:
    """Heading -> text below it."""
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in nodes_reference().split("\n## ")[1:]}


def test_every_kind_has_all_its_fields() -> None:
    found = sections()
    assert found.keys() >= set(OWN)
    for kind in OWN:
        fields = set(spec_class(kind).model_fields) - {"kind", "inputs", *spec_class(kind).fixed_fields}
        assert sorted(re.findall(r"^\| `(\w+)` \|", found[kind], re.MULTILINE)) == sorted(fields)


def test_links_lead_somewhere() -> None:
    text = nodes_reference()
    linked = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert linked > set(OWN)
    assert linked <= {heading.lower().replace(" ", "-") for heading in sections()}


def test_what_goes_in_and_out_is_told() -> None:
    found = sections()
    assert "Inputs: none. Outputs: `video`, `audio`." in found["decoder"]
    assert "Inputs: 2 to 16 (frames, results). Outputs: `out`." in found["overlay"]
    assert "Inputs: 1 to 16 (a tensor). Outputs: `out`." in found["inference"]
    assert "Inputs: 1 to 2 (frames, sound). Outputs: none." in found["encoder"]


@pytest.mark.parametrize("kind", OWN)
def test_every_field_of_a_node_is_described(kind: str) -> None:
    fields = spec_class(kind).model_fields
    assert [name for name, one in fields.items() if not one.description] == ["kind"]


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (int, "whole number"),
        (Annotated[float, Field(ge=0, le=1.5)], "number (0 to 1.5)"),
        (Annotated[float, Field(gt=0, lt=2)] | None, "number (above 0, below 2) or null"),
        (bool, "true or false"),
        (Literal["a", "null", 3], '`a`, `"null"`, `3`'),
        (Literal["a"] | None, "`a` or null"),
        (tuple[Size, Size], "list of 2 whole numbers (at least 1)"),
        (Levels, "number or list of numbers"),
        (tuple[str | int, ...], "list of texts or whole numbers"),
        (Shape, "list of whole numbers (at least 1) or text such as 1x3x480x640"),
        (dict[str, str], "mapping from name to text"),
        (dict[str, Any], "mapping"),
        (Annotated[str, Field(pattern="^a$")], "text of the form `^a$`"),
        (WindowOptions | None, "<WindowOptions> or null"),
        (WindowOptions | InputMeaning, "<WindowOptions> or <InputMeaning>"),
        (Any, "anything"),
        (object, "anything"),
    ],
    # The annotations' own texts hold addresses, which differ between processes.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_types_in_words(annotation: Any, told: str) -> None:
    class Model(BaseModel):
        field: annotation

    (name,), schemas = model_schemas([Model])
    assert describe(schemas[name]["properties"]["field"], lambda model: f"<{model}>") == told
