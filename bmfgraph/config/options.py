"""Read options of the config groups ``model`` and ``engine`` as specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from bmfgraph.config.pydantic_errors import problems_of
from bmfgraph.errors import SpecError

if TYPE_CHECKING:
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec

__all__ = ["Folders", "engine", "model"]

Folders = str | Path | Sequence[str | Path]
Spec = TypeVar("Spec", bound=BaseModel)


def model(option: str, *, config_dir: Folders = (), **values: Any) -> ModelSpec:
    """Return a model of the config group ``model``, such as ``centerface``, for an inference node built in code.

    Args:
        option: Name of the option.
        config_dir: Folders of configuration besides the packaged one.
        values: Fields to replace, such as ``file="net.onnx"``.

    Raises:
        ConfigError: The option does not exist.
        SpecError: A field is wrong.
    """
    from bmfgraph.nodes.model import ModelSpec

    return _option("model", option, config_dir, values, ModelSpec)


def engine(option: str, *, config_dir: Folders = (), **values: Any) -> EngineOptions:
    """Return an option of the config group ``engine``, such as ``fp16``.

    Args:
        option: Name of the option.
        config_dir: Folders of configuration besides the packaged one.
        values: Fields to replace, such as ``batch=4``.

    Raises:
        ConfigError: The option does not exist.
        SpecError: A field is wrong.
    """
    from bmfgraph.nodes.engine import EngineOptions

    return _option("engine", option, config_dir, values, EngineOptions)


def _option(group: str, option: str, config_dir: Folders, values: Mapping[str, Any], spec: type[Spec]) -> Spec:
    from bmfgraph.config.load import group_option

    data = group_option(group, option, config_dir, values)
    try:
        return spec.model_validate(data)
    except ValidationError as error:
        raise SpecError(problems_of(error, data, spec, group)) from None
