"""``inference``: run a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError, OnnxTensor
from bmfgraph.engines.refusals import tried_shapes
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.trial import trial_request
from bmfgraph.errors import EngineError, PlanError, SourceError
from bmfgraph.media.sources import UNCHECKED, locate
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import (
    EngineOptions,
    EngineRequest,
    check_declared_shape,
    check_shape_names,
    declared_shape,
)
from bmfgraph.nodes.facts import CompletedModel, FactError, complete
from bmfgraph.nodes.feeds import Feed, feeds_of
from bmfgraph.nodes.model import ModelSpec, OutputMeaning
from bmfgraph.nodes.model_checks import check_dims, check_input, check_layout, check_tensor_names
from bmfgraph.nodes.results import declaration_hash
from bmfgraph.nodes.tiles import check_same_tiles
from bmfgraph.plan.description import Files, Inferred, InputType, ModelDescription, Needs, PythonPackage, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, Device, Dim, Port, PortType, TensorSpec
from bmfgraph.plan.views.text import RUNTIMES
from bmfgraph.system.text import shortened

__all__ = ["InferenceParams", "InferenceSpec"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InferenceParams:
    """The tensors that go into a model and come out, and the engine that runs it."""

    model: str
    inputs: tuple[tuple[str, Shape], ...]
    """Name and shape of each, batch included."""
    output_shapes: tuple[tuple[str, tuple[int | None, ...]], ...]
    batch: int
    """Items joined into one inference."""
    fixed_batch: bool
    """Whether the model reads only batches of that size, so that the last batch is padded."""
    feeds: tuple[Feed, ...] = ()
    """The inputs that no edge is connected to."""
    rows: tuple[str, ...] = ()
    """Outputs whose first dim counts detections; they get a batch dim of 1."""
    engine: EngineSpec | None = None


_PACKAGES = {
    "onnxruntime": PythonPackage("onnxruntime", "ONNX Runtime", "onnxruntime", codes.MISSING_ONNXRUNTIME),
    "openvino": PythonPackage("openvino", "OpenVINO", "openvino", codes.MISSING_OPENVINO),
}


class InferenceSpec(NodeSpec):
    """Runs a model on tensors: one edge for each of its inputs, in the model's order."""

    kind: Literal["inference"] = "inference"
    model: ModelSpec = Field(description="The model; ${model} for the chosen one.")
    engine: EngineOptions = Field(
        default=EngineOptions(), description="How it is run; ${engine} for the chosen options."
    )

    stage: ClassVar[str] = "bmfgraph.stages.inference:Infer"
    arity: ClassVar[tuple[int, int]] = (1, 16)
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    takes_tiles: ClassVar[bool] = True

    def accepts(self, index: int) -> InputType:
        return InputType(TensorSpec)

    def words(self) -> Mapping[str, str]:
        return {"model": self.model.name}

    def probe(self, name: str) -> CompletedModel:
        try:
            if self.model.file:
                model = cached_model(self.model.file)
            else:
                expected = self.model.sha256
                path = locate(str(self.model.source), expected)
                model = cached_model(path, None if expected == UNCHECKED else expected)
        except (SourceError, OnnxError) as error:
            raise EngineError(name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code) from None
        check_tensor_names(name, self.model, model)
        try:
            completed = complete(self.model, model)
        except FactError as error:
            message = f"model {self.model.name!r}: {error}"
            raise PlanError(name, message, hint=error.hint, code=error.code) from None
        check_dims(name, completed)
        names = [tensor.name for tensor in completed.wired()]
        if len(names) != len(self.inputs):
            raise PlanError(
                name,
                f"model {self.model.name!r} has {len(names)} input(s) ({', '.join(names)}), "
                f"but {len(self.inputs)} edge(s) are connected",
                hint=f"list one edge for each under pipeline.nodes.{name}.inputs, in that order; an input that is no "
                "picture takes its values from model.inputs.NAME.feed",
                code=codes.MODEL_INPUT_COUNT,
            )
        check_shape_names(name, self.engine, [tensor.name for tensor in model.inputs])
        return completed

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        model: CompletedModel = node.metadata
        tensor = model.wired()[index]
        described = model.spec.inputs[tensor.name]
        meaning, dims = described.meaning(), model.dims(tensor)
        if len(dims) != 4:
            raise PlanError(
                node.name,
                f"input {tensor} has {len(dims)} dims; images have 4 ({meaning.layout})",
                hint="reshape inside the model",
                code=codes.MODEL_INPUT_RANK,
            )
        check_layout(node.name, model, tensor)
        chosen = dict(zip(("height", "width"), described.size, strict=True)) if described.size else {}
        dims = declared_shape(node.name, self.engine, tensor, dims) or dims
        sizes = tuple(
            Dim(name, size if isinstance(size, int) else chosen.get(name))
            for name, size in zip(meaning.dims, dims, strict=True)
        )
        return Requirement(
            consumer=node.name,
            tensor=TensorSpec(tensor.name, sizes, tensor.dtype, meaning),
            meaning=meaning,
            # A side that the file fixes needs no padding.
            multiple=described.multiple if any(isinstance(size, str) for size in model.dims(tensor)[1:]) else 1,
            window=self.model.window.window(),
            framing=described.framing(),
        )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        model: CompletedModel = node.metadata
        onnx, decode = model.onnx, model.spec.decode
        shapes: dict[str, Shape] = {}
        for source, tensor in zip(inputs, model.wired(), strict=True):
            assert isinstance(source, TensorSpec)
            shapes[tensor.name] = self._shape(node.name, source, model, tensor)
        check_same_tiles(node.name, inputs)
        batch = self.engine.batch
        leading = inputs[0]
        assert isinstance(leading, TensorSpec)
        values = [(one.name, one.dtype, model.dims(one), model.spec.inputs[one.name].feed) for one in onnx.inputs]
        layouts, rows = model.layouts(), self._rows(node.name, model, leading)
        feeds = feeds_of(node.name, values, leading, batch)
        shapes |= {feed.name: feed.shape for feed in feeds}
        shapes = {tensor.name: shapes[tensor.name] for tensor in onnx.inputs}
        try:
            output_shapes = cached_output_shapes(onnx, shapes)
        except OnnxError as error:
            raise PlanError(
                node.name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code
            ) from None
        if onnx.foreign and any(size is None for shape in output_shapes.values() for size in shape or (None,)):
            # ONNX does not define all operators, but their runtime does.
            dims = {tensor.name: model.dims(tensor) for tensor in onnx.inputs}
            request = trial_request(onnx, shapes, dims, dict(model.sides()), self.engine.threads)
            output_shapes = tried_shapes(node.name, self.model.name, onnx.foreign, request)
        for output in onnx.outputs:
            first = (output_shapes[output.name] or (None,))[0]
            if first is not None and first != batch and output.name not in rows:
                raise PlanError(
                    node.name,
                    f"output {output.name} has {first} as its first dim for a batch of {batch}",
                    hint="export the model so that the first dim of every output counts the batch",
                    code=codes.MISSING_BATCH_DIMENSION,
                )
        outputs = tuple(
            _output(
                tensor,
                model.spec.outputs.get(tensor.name),
                (*([1] if tensor.name in rows else []), *(output_shapes[tensor.name] or (None,))),
                leading,
            )
            for tensor in onnx.outputs
        )
        single = len(outputs) == 1 and decode is None and not layouts
        meanings = tuple((tensor.name, model.spec.inputs[tensor.name].meaning()) for tensor in model.wired())
        kind = (
            outputs[0]
            if single
            else BundleSpec(outputs, decode, tuple((name, layout.batched()) for name, layout in layouts), meanings)
        )
        params = InferenceParams(
            model=self.model.name,
            inputs=tuple(shapes.items()),
            output_shapes=tuple((tensor.name, output_shapes[tensor.name]) for tensor in onnx.outputs),
            batch=batch,
            fixed_batch=any(isinstance(model.dims(tensor)[0], int) for tensor in model.wired()),
            feeds=feeds,
            rows=rows,
        )
        return Inferred((Port("out", kind),), params)

    def _rows(self, name: str, model: CompletedModel, leading: TensorSpec) -> tuple[str, ...]:
        """Return the outputs whose first dim counts detections, which only a single picture can have."""
        rows = tuple(output for output, layout in model.layouts() if layout.counts_rows)
        if rows and (self.engine.batch > 1 or leading.tiling):
            raise PlanError(
                name,
                f"output {rows[0]} counts the detections of all pictures in its first dim, so it takes one at a time",
                hint="set engine.batch=1, and use no tiles",
                code=codes.FIXED_BATCH_SIZE,
            )
        return rows

    def engine_request(self, node: PlanNode) -> EngineRequest:
        model: CompletedModel = node.metadata
        return EngineRequest(
            model=self.model.name,
            options=self.engine,
            onnx=model.onnx,
            input_shapes=node.params.inputs,
            output_shapes=node.params.output_shapes,
            dims=tuple((tensor.name, model.dims(tensor)) for tensor in model.onnx.inputs),
            fixed_batch=node.params.fixed_batch,
            sides=model.sides(),
            own=self.model.file is not None,
            feeds=node.params.feeds,
            rows=node.params.rows,
        )

    def declaration(self, node: PlanNode) -> str:
        model: CompletedModel = node.metadata
        return declaration_hash(model.spec.inputs, node.outputs[0].type)

    def model_description(self, node: PlanNode) -> ModelDescription:
        model: CompletedModel = node.metadata
        return model.description

    def engine_of(self, params: InferenceParams) -> EngineSpec | None:
        return params.engine

    def with_engine(self, params: InferenceParams, engine: EngineSpec) -> InferenceParams:
        return replace(params, engine=engine)

    def files(self, params: InferenceParams) -> Files:
        return Files(reads=(params.engine.path, params.engine.onnx) if params.engine else ())

    def needs(self, params: InferenceParams) -> Needs:
        package = _PACKAGES.get(params.engine.runtime) if params.engine else None
        return Needs(packages=(package,) if package else ())

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        engine: EngineSpec | None = node.params.engine
        name = shortened(node.params.model, 30)
        if engine is None:
            return (name,)
        batch = f" · batch {engine.batch}" if engine.batch > 1 else ""
        return name, f"{RUNTIMES[engine.runtime]} · {engine.precision}{batch}"

    def _shape(self, name: str, source: TensorSpec, model: CompletedModel, tensor: OnnxTensor) -> Shape:
        """Return the shape that the model reads at that input, batch included."""
        check_input(name, model, source, tensor)
        batch, fixed = self.engine.batch, model.dims(tensor)[0]
        if isinstance(fixed, int) and fixed != batch:
            raise PlanError(
                name,
                f"engine.batch {batch}: input {tensor} accepts batches of {fixed} only",
                hint=f"set engine.batch={fixed}, or export the model with a free batch dimension",
                code=codes.FIXED_BATCH_SIZE,
            )
        shape = (batch, *(size for size in source.shape[1:] if size is not None))
        check_declared_shape(name, self.engine, tensor, shape)
        return shape


def _output(
    tensor: OnnxTensor, described: OutputMeaning | None, shape: tuple[int | None, ...], source: TensorSpec
) -> TensorSpec:
    meaning = described.meaning() if described and described.is_picture else None
    names: tuple[str, ...] = tuple(f"dim{axis}" for axis in range(len(shape)))
    placement = source.placement
    if meaning and len(shape) == 4:
        names = meaning.dims
    dims = tuple(Dim(name, size) for name, size in zip(names, shape, strict=True))
    out = TensorSpec(
        name=tensor.name,
        # One item's share of the batch.
        dims=(source.dims[0], *dims[1:]),
        dtype=tensor.dtype,
        meaning=meaning,
        window=source.window,
        placement=placement,
        source=source.source,
        tiling=source.tiling,
    )
    height, width, channels = out.size_of("height"), out.size_of("width"), out.size_of("channels")
    if meaning and placement and height and width and channels:
        whole = placement if source.tiling else placement.scaled_to(width, height)
        out = replace(out, pictures=channels // meaning.count, placement=whole)
    return out
