"""Call ONNX Runtime's model tools: imported on demand, silent, and with their errors translated."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.errors import BmfgraphError, InstallError, first_line

__all__ = ["import_tool", "tool_errors_as_onnx_errors"]


def import_tool(module: str, precisions: str) -> Any:
    """Import a module of ONNX Runtime.

    By name, because the rooms that describe and compile must not import a runtime.

    Args:
        module: Its name below ``onnxruntime``.
        precisions: The precisions that need it, for the error.

    Raises:
        InstallError: ONNX Runtime is not installed.
    """
    try:
        return importlib.import_module(f"onnxruntime.{module}")
    except ImportError:
        raise InstallError(
            f"ONNX Runtime is not installed, and {precisions} networks are prepared with it",
            hint="pip install onnxruntime",
            code=codes.MISSING_ONNXRUNTIME,
        ) from None


@contextlib.contextmanager
def tool_errors_as_onnx_errors(precision: str) -> Iterator[None]:
    """Translate any exception of a tool into OnnxError, and suppress its logs and warnings.

    The tools' advice is meant for authors of conversion scripts, not for users of bmfgraph.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OnnxError, BmfgraphError):
        raise
    except Exception as error:
        raise OnnxError(
            f"ONNX Runtime's tools cannot make the network {precision}: {first_line(error) or type(error).__name__}",
            "choose another precision",
            code=codes.NETWORK_PREPARATION_FAILURE,
        ) from None
    finally:
        logging.disable(disabled)
