"""``inference``: a model run by an engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.engines.onnxfile import OnnxError, OnnxModel, OnnxTensor, infer_shapes, read_onnx
from bmfgraph.engines.request import EngineRequest
from bmfgraph.errors import EngineError, PlanError, did_you_mean, one_of
from bmfgraph.nodes.base import Frozen, NodeSpec
from bmfgraph.nodes.model import InputMeaning, ModelSpec, Size
from bmfgraph.plan import Need, PlanNode, Resolved, Want
from bmfgraph.ports import BundleSpec, Dim, Meaning, Placement, Port, PortType, TensorSpec
from bmfgraph.sources import SourceError, locate

__all__ = ["EngineOptions", "InferenceSpec", "InferenceWork"]

Shape = tuple[Size, ...]


@dataclass(frozen=True)
class InferenceWork:
    """One engine at work: which tensor goes in and which come out."""

    model: str
    input: str
    input_shape: Shape
    outputs: tuple[str, ...]
    batch: int
    """Items joined into one inference."""
    fixed_batch: bool
    """The model takes that batch and no smaller one: the last is filled up."""
    engine: EngineRequest | None = None


class EngineOptions(Frozen):
    """How a model is run: the config group `engine/`."""

    runtime: Literal["auto", "onnxruntime"] = Field(default="auto", description="auto: the best one that is here.")
    precision: Literal["fp32"] = "fp32"
    batch: int = Field(default=1, ge=1, le=256, description="Frames (or windows) in one inference.")
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads; null: one a core.")
    input_shapes: dict[str, Shape] | None = Field(
        default=None, description="Shapes by input name, batch included; null: from the frames."
    )


class InferenceSpec(NodeSpec):
    """Runs a model on tensors."""

    kind: Literal["inference"]
    model: ModelSpec
    engine: EngineOptions = EngineOptions()

    stage: ClassVar[str] = "bmfgraph.nodes.modules.inference:Infer"

    def needs(self, index: int) -> Need:
        return Need(TensorSpec)

    def discover(self, name: str) -> OnnxModel:
        try:
            path = self.model.file or locate(str(self.model.source), self.model.sha256)
            model = read_onnx(path)
        except (SourceError, OnnxError) as error:
            raise EngineError(name, f"model {self.model.name!r}: {error}", hint=error.hint) from None
        for side, said, there in (
            ("inputs", self.model.inputs, model.inputs),
            ("outputs", self.model.outputs, model.outputs),
        ):
            names = [tensor.name for tensor in there]
            for one in said:
                if one not in names:
                    raise PlanError(
                        name,
                        f"model.{side}.{one}: {path.name} has no such tensor{did_you_mean(one, names)}; "
                        f"it has: {one_of(names)}",
                        hint=f"correct the names under model.{side}",
                    )
        for tensor in model.inputs:
            dims = self.model.inputs.get(tensor.name, InputMeaning()).dims
            if dims is not None and len(dims) != len(tensor.dims):
                raise PlanError(
                    name,
                    f"model.inputs.{tensor.name}.dims has {len(dims)} entries, but the file's input {tensor} "
                    f"has {len(tensor.dims)}",
                    hint="give a size or a name for each dimension of the file's input",
                )
        if len(model.inputs) != 1:
            raise PlanError(
                name,
                f"model {self.model.name!r} has {len(model.inputs)} inputs ({one_of(t.name for t in model.inputs)}), "
                "and only models with one are fed so far",
                hint="fold the other inputs into the ONNX file as constants",
            )
        return model

    def want(self, node: PlanNode, index: int, own: Want | None) -> Want | None:
        tensor = self._input(node)
        meaning = self._meaning(tensor)
        dims = self._dims(tensor)
        if len(dims) != 4:
            raise PlanError(
                node.name,
                f"input {tensor} has {len(dims)} dims; pictures have 4 ({meaning.layout})",
                hint="reshape inside the model",
            )
        dims = self._declared(node.name, tensor, dims) or dims
        names = meaning.dims
        wanted = tuple(
            Dim(name, size if isinstance(size, int) else None) for name, size in zip(names, dims, strict=True)
        )
        said = self.model.inputs.get(tensor.name, InputMeaning())
        return Want(
            consumer=node.name,
            tensor=TensorSpec(tensor.name, wanted, tensor.dtype, meaning),
            meaning=meaning,
            multiple=said.multiple,
            window=self.model.window.window(),
        )

    def resolve(self, node: PlanNode, inputs: tuple[PortType, ...], want: Want | None) -> Resolved:
        given = inputs[0]
        assert isinstance(given, TensorSpec)
        tensor = self._input(node)
        self._check_input(node.name, given, tensor)
        dims = self._dims(tensor)
        batch = self.engine.batch
        fixed = dims[0] if isinstance(dims[0], int) else None
        if fixed is not None and fixed != batch:
            raise PlanError(
                node.name,
                f"engine.batch {batch}: input {tensor} takes batches of {fixed} only",
                hint=f"set engine.batch={fixed}, or export the model with a free batch dimension",
            )
        shape = (batch, *(size for size in given.shape[1:] if size is not None))
        self._check_declared(node.name, tensor, shape)
        try:
            shapes = infer_shapes(node.facts.path, {tensor.name: shape})
        except OnnxError as error:
            raise PlanError(node.name, f"model {self.model.name!r}: {error}", hint=error.hint) from None
        for one in node.facts.outputs:
            first = (shapes[one.name] or (None,))[0]
            if first is not None and first != batch:
                raise PlanError(
                    node.name,
                    f"output {one.name} has {first} as its first dim for a batch of {batch}",
                    hint="export the model so that the first dim of every output counts the batch",
                )
        outputs = tuple(self._output(one, shapes[one.name], given) for one in node.facts.outputs)
        kind = outputs[0] if len(outputs) == 1 else BundleSpec(outputs, decode=self.model.decode)
        work = InferenceWork(
            model=self.model.name,
            input=tensor.name,
            input_shape=shape,
            outputs=tuple(one.name for one in outputs),
            batch=batch,
            fixed_batch=fixed is not None,
        )
        return Resolved((Port("out", kind),), work)

    def _input(self, node: PlanNode) -> OnnxTensor:
        tensor: OnnxTensor = node.facts.inputs[0]
        return tensor

    def _dims(self, tensor: OnnxTensor) -> tuple[int | str, ...]:
        said = self.model.inputs.get(tensor.name)
        return said.dims if said and said.dims else tensor.dims

    def _meaning(self, tensor: OnnxTensor) -> Meaning:
        return self.model.inputs.get(tensor.name, InputMeaning()).meaning()

    def free_dims(self, node: PlanNode) -> tuple[tuple[str, tuple[int | str, ...]], ...]:
        """Inputs whose dims the config replaces, with the new dims."""
        tensor = self._input(node)
        dims = self._dims(tensor)
        return ((tensor.name, dims),) if dims != tensor.dims else ()

    def _check_input(self, name: str, given: TensorSpec, tensor: OnnxTensor) -> None:
        meaning = self._meaning(tensor)
        window = self.model.window.window()
        if given.window != window:
            raise PlanError(
                name,
                f"model {self.model.name!r} works on a {window}, but gets a {given.window}",
                hint="put a node {kind: window} between preprocess and inference"
                if given.pictures == 1
                else "leave the window node's own `window` out, so that it follows the model",
            )
        if given.dtype != tensor.dtype:
            raise PlanError(
                name,
                f"input {tensor} is fed dtype {given.dtype}",
                hint=f"set dtype: {tensor.dtype} on the preprocess node, or leave it out",
            )
        if given.meaning != meaning:
            raise PlanError(
                name,
                f"input {tensor.name} means {meaning}, but is fed {given.meaning or 'a tensor of unknown meaning'}",
                hint="leave layout, channels, mean and std of the preprocess node out, so that they follow the model"
                if given.meaning
                else "say what the tensor means under `outputs` in the config of the model that makes it",
            )
        dims = self._dims(tensor)
        if len(given.shape) != len(dims) or any(
            isinstance(wanted, int) and got != wanted for got, wanted in zip(given.shape[1:], dims[1:], strict=True)
        ):
            raise PlanError(
                name,
                f"input {OnnxTensor(tensor.name, tensor.dtype, dims)} does not take the size of {given}",
                hint="set the preprocess node's `size` and `fit`, or choose another model",
            )

    def _declared(self, name: str, tensor: OnnxTensor, dims: tuple[int | str, ...]) -> Shape | None:
        """What ``engine.input_shapes`` says of the input, checked against what the model takes."""
        declared = self.engine.input_shapes or {}
        for one in declared:
            if one != tensor.name:
                raise PlanError(
                    name,
                    f"engine.input_shapes.{one}: the model has no such input{did_you_mean(one, [tensor.name])}; "
                    f"it has: {tensor.name}",
                    hint="correct the name under engine.input_shapes",
                )
        shape = declared.get(tensor.name)
        fits = shape is None or (
            len(shape) == len(dims)
            and all(size == dim for size, dim in zip(shape, dims, strict=True) if isinstance(dim, int))
        )
        if not fits:
            raise PlanError(
                name,
                f"engine.input_shapes.{tensor.name}={list(shape or ())}: the model takes [{', '.join(map(str, dims))}]",
                hint="correct it, or leave engine.input_shapes out to take the shape from the frames",
            )
        return shape

    def _check_declared(self, name: str, tensor: OnnxTensor, shape: Shape) -> None:
        wanted = (self.engine.input_shapes or {}).get(tensor.name)
        if wanted is not None and wanted != shape:
            raise PlanError(
                name,
                f"engine.input_shapes.{tensor.name}={list(wanted)}, but the frames make {list(shape)}",
                hint=f"set engine.batch={wanted[0]}"
                if wanted[1:] == shape[1:]
                else "leave engine.input_shapes out to take the shape from the frames",
            )

    def _output(self, tensor: OnnxTensor, shape: tuple[int | None, ...], given: TensorSpec) -> TensorSpec:
        said = self.model.outputs.get(tensor.name)
        meaning = said.meaning() if said else None
        names: tuple[str, ...] = tuple(f"dim{axis}" for axis in range(len(shape)))
        placement = given.placement
        if meaning and len(shape) == 4:
            names = meaning.dims
        dims = tuple(Dim(name, size) for name, size in zip(names, shape, strict=True))
        out = TensorSpec(
            name=tensor.name,
            # One item's share of the batch.
            dims=(Dim("batch", 1), *dims[1:]),
            dtype=tensor.dtype,
            meaning=meaning,
            window=given.window,
            placement=placement,
            source=given.source,
        )
        height, width, channels = out.size_of("height"), out.size_of("width"), out.size_of("channels")
        if meaning and placement and height and width and channels:
            out = replace(out, pictures=channels // meaning.count, placement=_scaled(placement, width, height))
        return out


def _scaled(placement: Placement, width: int, height: int) -> Placement:
    """Where the source picture lies after the model changed the tensor's size."""
    x, y = width / placement.width, height / placement.height
    return Placement(
        source_width=placement.source_width,
        source_height=placement.source_height,
        width=width,
        height=height,
        scale_x=placement.scale_x * x,
        scale_y=placement.scale_y * y,
        left=placement.left * x,
        top=placement.top * y,
    )
