"""``inference``: run a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError, OnnxModel, OnnxTensor
from bmfgraph.engines.refusals import tried_shapes
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.trial import trial_request
from bmfgraph.errors import EngineError, PlanError, SourceError, did_you_mean, join_sorted
from bmfgraph.media.sources import UNCHECKED, locate
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import (
    EngineOptions,
    EngineRequest,
    check_declared_shape,
    check_shape_names,
    declared_shape,
)
from bmfgraph.nodes.feeds import Feed, feeds_of
from bmfgraph.nodes.model import ModelSpec, OutputMeaning
from bmfgraph.plan.description import Files, Inferred, InputType, Needs, PythonPackage, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, Device, Dim, Port, PortType, TensorMeaning, TensorSpec
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
    engine: EngineSpec | None = None


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

    def accepts(self, index: int) -> InputType:
        return InputType(TensorSpec)

    def probe(self, name: str) -> OnnxModel:
        try:
            if self.model.file:
                model = cached_model(self.model.file)
            else:
                expected = self.model.sha256
                path = locate(str(self.model.source), expected)
                model = cached_model(path, None if expected == UNCHECKED else expected)
        except (SourceError, OnnxError) as error:
            raise EngineError(name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code) from None
        for side, described, tensors in (
            ("inputs", self.model.inputs, model.inputs),
            ("outputs", self.model.outputs, model.outputs),
        ):
            names = [tensor.name for tensor in tensors]
            for key in described:
                if key not in names:
                    raise PlanError(
                        name,
                        f"model.{side}.{key}: {model.path.name} has no such tensor{did_you_mean(key, names)}; "
                        f"it has: {join_sorted(names)}",
                        hint=f"correct the names under model.{side}",
                        code=codes.UNKNOWN_MODEL_TENSOR,
                    )
        for tensor in model.inputs:
            dims = self.model.input_meaning(tensor.name).dims
            if dims is not None and len(dims) != len(tensor.dims):
                raise PlanError(
                    name,
                    f"model.inputs.{tensor.name}.dims has {len(dims)} entries, but the file's input {tensor} "
                    f"has {len(tensor.dims)}",
                    hint="give a size or a name for each dimension of the file's input",
                    code=codes.WRONG_DIMS_LENGTH,
                )
        names = [tensor.name for tensor in self._wired(model)]
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
        return model

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        tensor = self._wired(node.metadata)[index]
        meaning = self._meaning(tensor)
        dims = self._dims(tensor)
        if len(dims) != 4:
            raise PlanError(
                node.name,
                f"input {tensor} has {len(dims)} dims; images have 4 ({meaning.layout})",
                hint="reshape inside the model",
                code=codes.MODEL_INPUT_RANK,
            )
        self._check_layout(node.name, tensor, dims, meaning)
        described = self.model.input_meaning(tensor.name)
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
            multiple=described.multiple,
            window=self.model.window.window(),
            framing=described.framing(),
        )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        model: OnnxModel = node.metadata
        shapes: dict[str, Shape] = {}
        for source, tensor in zip(inputs, self._wired(model), strict=True):
            assert isinstance(source, TensorSpec)
            shapes[tensor.name] = self._shape(node.name, source, tensor)
        batch = self.engine.batch
        leading = inputs[0]
        assert isinstance(leading, TensorSpec)
        values = [
            (one.name, one.dtype, self._dims(one), self.model.input_meaning(one.name).feed) for one in model.inputs
        ]
        feeds = feeds_of(node.name, values, leading, batch)
        shapes |= {feed.name: feed.shape for feed in feeds}
        shapes = {tensor.name: shapes[tensor.name] for tensor in model.inputs}
        try:
            output_shapes = cached_output_shapes(model, shapes)
        except OnnxError as error:
            raise PlanError(
                node.name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code
            ) from None
        if model.foreign and any(size is None for shape in output_shapes.values() for size in shape or (None,)):
            # ONNX does not define all operators, but their runtime does.
            dims = {tensor.name: self._dims(tensor) for tensor in model.inputs}
            request = trial_request(model, shapes, dims, dict(self._sides(model)), self.engine.threads)
            output_shapes = tried_shapes(node.name, self.model.name, model.foreign, request)
        for output in model.outputs:
            first = (output_shapes[output.name] or (None,))[0]
            if first is not None and first != batch:
                raise PlanError(
                    node.name,
                    f"output {output.name} has {first} as its first dim for a batch of {batch}",
                    hint="export the model so that the first dim of every output counts the batch",
                    code=codes.MISSING_BATCH_DIMENSION,
                )
        outputs = tuple(
            self._output(tensor, self.model.output_meaning(tensor.name, index), output_shapes[tensor.name], leading)
            for index, tensor in enumerate(model.outputs)
        )
        layouts = self._layouts(model)
        single = len(outputs) == 1 and self.model.decode is None and not layouts
        kind = outputs[0] if single else BundleSpec(outputs, self.model.decode, layouts)
        params = InferenceParams(
            model=self.model.name,
            inputs=tuple(shapes.items()),
            output_shapes=tuple((tensor.name, output_shapes[tensor.name]) for tensor in model.outputs),
            batch=batch,
            fixed_batch=any(isinstance(self._dims(tensor)[0], int) for tensor in self._wired(model)),
            feeds=feeds,
        )
        return Inferred((Port("out", kind),), params)

    def engine_request(self, node: PlanNode) -> EngineRequest:
        model: OnnxModel = node.metadata
        return EngineRequest(
            model=self.model.name,
            options=self.engine,
            onnx=model,
            input_shapes=node.params.inputs,
            output_shapes=node.params.output_shapes,
            dims=tuple((tensor.name, self._dims(tensor)) for tensor in model.inputs),
            fixed_batch=node.params.fixed_batch,
            sides=self._sides(model),
            own=self.model.file is not None,
            feeds=node.params.feeds,
        )

    def _wired(self, model: OnnxModel) -> tuple[OnnxTensor, ...]:
        """Return the inputs that edges are connected to."""
        return tuple(tensor for tensor in model.inputs if self.model.input_meaning(tensor.name).feed is None)

    def _sides(self, model: OnnxModel) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Return the axes of height and width of every input."""
        meanings = {tensor.name: self._meaning(tensor).dims for tensor in self._wired(model)}
        return tuple((name, (dims.index("height"), dims.index("width"))) for name, dims in meanings.items())

    def engine_of(self, params: InferenceParams) -> EngineSpec | None:
        return params.engine

    def with_engine(self, params: InferenceParams, engine: EngineSpec) -> InferenceParams:
        # A CUDA graph is recorded for one shape only.
        return replace(params, fixed_batch=params.fixed_batch or engine.cuda_graph, engine=engine)

    def files(self, params: InferenceParams) -> Files:
        return Files(reads=(params.engine.path, params.engine.onnx) if params.engine else ())

    def needs(self, params: InferenceParams) -> Needs:
        if params.engine is None or params.engine.runtime != "onnxruntime":
            return Needs()
        return Needs(packages=(PythonPackage("onnxruntime", "ONNX Runtime", "onnxruntime", codes.MISSING_ONNXRUNTIME),))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        engine: EngineSpec | None = node.params.engine
        name = shortened(node.params.model, 30)
        if engine is None:
            return (name,)
        batch = f" · batch {engine.batch}" if engine.batch > 1 else ""
        return name, f"{RUNTIMES[engine.runtime]} · {engine.precision}{batch}"

    def _shape(self, name: str, source: TensorSpec, tensor: OnnxTensor) -> Shape:
        """Return the shape that the model reads at that input, batch included."""
        self._check_input(name, source, tensor)
        batch, fixed = self.engine.batch, self._dims(tensor)[0]
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

    def _dims(self, tensor: OnnxTensor) -> tuple[int | str, ...]:
        return self.model.input_meaning(tensor.name).dims or tensor.dims

    def _meaning(self, tensor: OnnxTensor) -> TensorMeaning:
        return self.model.input_meaning(tensor.name).meaning()

    def _layouts(self, model: OnnxModel) -> tuple[tuple[str, OutputMeaning], ...]:
        """Return the meaning of each output that is not an image, by name."""
        meanings = ((one.name, self.model.output_meaning(one.name, at)) for at, one in enumerate(model.outputs))
        return tuple((name, meaning) for name, meaning in meanings if meaning and not meaning.is_picture)

    def _check_layout(self, name: str, tensor: OnnxTensor, dims: tuple[int | str, ...], meaning: TensorMeaning) -> None:
        """Refuse a model whose channels differ from its config in place or number."""
        count = meaning.count * self.model.window.frames
        axis = meaning.dims.index("channels")
        other, layout = (3, "NHWC") if axis == 1 else (1, "NCHW")
        config = f"model.inputs.{tensor.name}: layout {meaning.layout} and channels {meaning.channels}"
        if dims[other] == count and dims[axis] != count:
            raise PlanError(
                name,
                f"{config} put {count} channels in dim {axis}, but {tensor} has them in dim {other}",
                hint=f"set model.inputs.{tensor.name}.layout={layout}",
                code=codes.TENSOR_MEANING_MISMATCH,
            )
        if isinstance(dims[axis], int) and dims[axis] != count:
            window = f" in a window of {self.model.window.frames}" if self.model.window.frames > 1 else ""
            raise PlanError(
                name,
                f"{config}{window} make {count} channels, but {tensor} has {dims[axis]} in dim {axis}",
                hint=f"correct model.inputs.{tensor.name}" + (" or model.window" if dims[axis] != 1 else ".channels"),
                code=codes.TENSOR_MEANING_MISMATCH,
            )

    def _check_input(self, name: str, source: TensorSpec, tensor: OnnxTensor) -> None:
        meaning = self._meaning(tensor)
        window = self.model.window.window()
        if source.window != window:
            raise PlanError(
                name,
                f"model {self.model.name!r} works on a {window}, but its input is a {source.window}",
                hint="put a node {kind: window} between preprocess and inference"
                if source.pictures == 1
                else "leave the window node's own `window` out, so that it follows the model",
                code=codes.WINDOW_MISMATCH,
            )
        if source.dtype != tensor.dtype:
            normalised_twice = source.meaning is not None and source.meaning.normalised and not meaning.normalised
            raise PlanError(
                name,
                f"input {tensor} expects {tensor.dtype}, but its source has dtype {source.dtype}"
                + (f" of normalised values, {source.meaning}" if normalised_twice else ""),
                hint="leave dtype, mean and std of the preprocess node out: the model reads levels 0..255"
                if normalised_twice
                else f"set dtype: {tensor.dtype} on the preprocess node, or leave it out",
                code=codes.TENSOR_DTYPE_MISMATCH,
            )
        if source.meaning != meaning:
            raise PlanError(
                name,
                f"input {tensor.name} expects {meaning}, "
                f"but its source is {source.meaning or 'a tensor of unknown meaning'}",
                hint="leave layout, channels, mean and std of the preprocess node out, so that they follow the model"
                if source.meaning
                else "describe the tensor under `outputs` in the config of the model that produces it",
                code=codes.TENSOR_MEANING_MISMATCH,
            )
        dims = self._dims(tensor)
        if len(source.shape) != len(dims) or any(
            isinstance(dim, int) and size != dim for size, dim in zip(source.shape[1:], dims[1:], strict=True)
        ):
            raise PlanError(
                name,
                f"input {OnnxTensor(tensor.name, tensor.dtype, dims)} does not fit the size of {source}",
                hint="set the preprocess node's `size` and `fit`, or choose another model",
                code=codes.TENSOR_SIZE_MISMATCH,
            )

    def _output(
        self, tensor: OnnxTensor, described: OutputMeaning | None, shape: tuple[int | None, ...], source: TensorSpec
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
            dims=(Dim("batch", 1), *dims[1:]),
            dtype=tensor.dtype,
            meaning=meaning,
            window=source.window,
            placement=placement,
            source=source.source,
        )
        height, width, channels = out.size_of("height"), out.size_of("width"), out.size_of("channels")
        if meaning and placement and height and width and channels:
            out = replace(out, pictures=channels // meaning.count, placement=placement.scaled_to(width, height))
        return out
