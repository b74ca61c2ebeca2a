"""``inference``: a model run by an engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.engines.key import Profile
from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError, OnnxModel, OnnxTensor
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.errors import EngineError, PlanError, SourceError, did_you_mean, join_sorted
from bmfgraph.media.sources import locate
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.model import InputMeaning, ModelSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import BundleSpec, Device, Dim, Placement, Port, PortType, TensorMeaning, TensorSpec

__all__ = ["InferenceParams", "InferenceSpec"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InferenceParams:
    """One engine at work: which tensors go in and which come out."""

    model: str
    inputs: tuple[tuple[str, Shape], ...]
    """Name and shape of each, batch included."""
    output_shapes: tuple[tuple[str, tuple[int | None, ...]], ...]
    batch: int
    """Items joined into one inference."""
    fixed_batch: bool
    """The model takes that batch and no smaller one: the last is filled up."""
    engine: EngineSpec | None = None


class InferenceSpec(NodeSpec):
    """Runs a model on tensors: one edge for each of its inputs, in the order in which the model has them."""

    kind: Literal["inference"]
    model: ModelSpec = Field(description="What is run; ${model} for the one that is chosen.")
    engine: EngineOptions = Field(default=EngineOptions(), description="How it is run; ${engine} for what is chosen.")

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
                model = cached_model(locate(str(self.model.source), self.model.sha256), self.model.sha256)
        except (SourceError, OnnxError) as error:
            raise EngineError(name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code) from None
        for side, said, there in (
            ("inputs", self.model.inputs, model.inputs),
            ("outputs", self.model.outputs, model.outputs),
        ):
            names = [tensor.name for tensor in there]
            for one in said:
                if one not in names:
                    raise PlanError(
                        name,
                        f"model.{side}.{one}: {model.path.name} has no such tensor{did_you_mean(one, names)}; "
                        f"it has: {join_sorted(names)}",
                        hint=f"correct the names under model.{side}",
                        code="E506",
                    )
        for tensor in model.inputs:
            dims = self.model.inputs.get(tensor.name, InputMeaning()).dims
            if dims is not None and len(dims) != len(tensor.dims):
                raise PlanError(
                    name,
                    f"model.inputs.{tensor.name}.dims has {len(dims)} entries, but the file's input {tensor} "
                    f"has {len(tensor.dims)}",
                    hint="give a size or a name for each dimension of the file's input",
                    code="E507",
                )
        if len(model.inputs) != len(self.inputs):
            told = ", ".join(tensor.name for tensor in model.inputs)
            raise PlanError(
                name,
                f"model {self.model.name!r} has {len(model.inputs)} input(s) ({told}), "
                f"but {len(self.inputs)} edge(s) arrive",
                hint=f"list one edge for each under pipeline.nodes.{name}.inputs, in that order",
                code="E508",
            )
        self._check_named(name, model)
        return model

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        tensor: OnnxTensor = node.metadata.inputs[index]
        meaning = self._meaning(tensor)
        dims = self._dims(tensor)
        if len(dims) != 4:
            raise PlanError(
                node.name,
                f"input {tensor} has {len(dims)} dims; pictures have 4 ({meaning.layout})",
                hint="reshape inside the model",
                code="E509",
            )
        self._check_layout(node.name, tensor, dims, meaning)
        dims = self._declared(node.name, tensor, dims) or dims
        names = meaning.dims
        wanted = tuple(
            Dim(name, size if isinstance(size, int) else None) for name, size in zip(names, dims, strict=True)
        )
        said = self.model.inputs.get(tensor.name, InputMeaning())
        return Requirement(
            consumer=node.name,
            tensor=TensorSpec(tensor.name, wanted, tensor.dtype, meaning),
            meaning=meaning,
            multiple=said.multiple,
            window=self.model.window.window(),
        )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        shapes: dict[str, Shape] = {}
        for given, tensor in zip(inputs, node.metadata.inputs, strict=True):
            assert isinstance(given, TensorSpec)
            shapes[tensor.name] = self._shape(node.name, given, tensor)
        batch = self.engine.batch
        try:
            made = cached_output_shapes(node.metadata, shapes)
        except OnnxError as error:
            raise PlanError(
                node.name, f"model {self.model.name!r}: {error}", hint=error.hint, code=error.code
            ) from None
        for one in node.metadata.outputs:
            first = (made[one.name] or (None,))[0]
            if first is not None and first != batch:
                raise PlanError(
                    node.name,
                    f"output {one.name} has {first} as its first dim for a batch of {batch}",
                    hint="export the model so that the first dim of every output counts the batch",
                    code="E511",
                )
        leading = inputs[0]
        assert isinstance(leading, TensorSpec)
        outputs = tuple(self._output(one, made[one.name], leading) for one in node.metadata.outputs)
        kind = outputs[0] if len(outputs) == 1 else BundleSpec(outputs, decode=self.model.decode)
        params = InferenceParams(
            model=self.model.name,
            inputs=tuple(shapes.items()),
            output_shapes=tuple((one.name, made[one.name]) for one in node.metadata.outputs),
            batch=batch,
            fixed_batch=any(isinstance(self._dims(tensor)[0], int) for tensor in node.metadata.inputs),
        )
        return Inferred((Port("out", kind),), params)

    def _shape(self, name: str, given: TensorSpec, tensor: OnnxTensor) -> Shape:
        """What the model is fed at that input, batch included."""
        self._check_input(name, given, tensor)
        batch, fixed = self.engine.batch, self._dims(tensor)[0]
        if isinstance(fixed, int) and fixed != batch:
            raise PlanError(
                name,
                f"engine.batch {batch}: input {tensor} takes batches of {fixed} only",
                hint=f"set engine.batch={fixed}, or export the model with a free batch dimension",
                code="E512",
            )
        shape = (batch, *(size for size in given.shape[1:] if size is not None))
        self._check_declared(name, tensor, shape)
        return shape

    def _dims(self, tensor: OnnxTensor) -> tuple[int | str, ...]:
        said = self.model.inputs.get(tensor.name)
        return said.dims if said and said.dims else tensor.dims

    def _meaning(self, tensor: OnnxTensor) -> TensorMeaning:
        return self.model.inputs.get(tensor.name, InputMeaning()).meaning()

    def dim_overrides(self, node: PlanNode) -> tuple[tuple[str, tuple[int | str, ...]], ...]:
        """Inputs whose dims the config replaces, with the new dims."""
        return tuple(
            (tensor.name, self._dims(tensor)) for tensor in node.metadata.inputs if self._dims(tensor) != tensor.dims
        )

    def check_profile(self, node: PlanNode, name: str, profile: Profile) -> None:
        """Refuse a profile that the model's own dims contradict."""
        dims = self._dims(node.metadata.input(name))
        for word, shape in (("min", profile.min), ("opt", profile.opt), ("max", profile.max)):
            if not _fits(shape, dims):
                raise PlanError(
                    node.name,
                    f"engine.profiles.{name}.{word}={list(shape)}: the model takes [{', '.join(map(str, dims))}]",
                    hint="correct it, or set engine.profiles=auto",
                    code="E608",
                )

    def _check_layout(self, name: str, tensor: OnnxTensor, dims: tuple[int | str, ...], meaning: TensorMeaning) -> None:
        """Refuse a model whose channels are elsewhere, or are not as many, as its config says."""
        wanted = meaning.count * self.model.window.frames
        place = meaning.dims.index("channels")
        other, layout = (3, "NHWC") if place == 1 else (1, "NCHW")
        says = f"model.inputs.{tensor.name}: layout {meaning.layout} and channels {meaning.channels}"
        if dims[other] == wanted and dims[place] != wanted:
            raise PlanError(
                name,
                f"{says} put {wanted} channels in dim {place}, but {tensor} has them in dim {other}",
                hint=f"set model.inputs.{tensor.name}.layout={layout}",
                code="E515",
            )
        if isinstance(dims[place], int) and dims[place] != wanted:
            window = f" in a window of {self.model.window.frames}" if self.model.window.frames > 1 else ""
            raise PlanError(
                name,
                f"{says}{window} make {wanted} channels, but {tensor} has {dims[place]} in dim {place}",
                hint=f"correct model.inputs.{tensor.name}" + (" or model.window" if dims[place] != 1 else ".channels"),
                code="E515",
            )

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
                code="E513",
            )
        if given.dtype != tensor.dtype:
            twice = given.meaning is not None and given.meaning.normalised and not meaning.normalised
            raise PlanError(
                name,
                f"input {tensor} is fed dtype {given.dtype}"
                + (f" of normalised values, {given.meaning}" if twice else ""),
                hint="leave dtype, mean and std of the preprocess node out: the model takes grey levels"
                if twice
                else f"set dtype: {tensor.dtype} on the preprocess node, or leave it out",
                code="E514",
            )
        if given.meaning != meaning:
            raise PlanError(
                name,
                f"input {tensor.name} means {meaning}, but is fed {given.meaning or 'a tensor of unknown meaning'}",
                hint="leave layout, channels, mean and std of the preprocess node out, so that they follow the model"
                if given.meaning
                else "say what the tensor means under `outputs` in the config of the model that makes it",
                code="E515",
            )
        dims = self._dims(tensor)
        if len(given.shape) != len(dims) or any(
            isinstance(wanted, int) and got != wanted for got, wanted in zip(given.shape[1:], dims[1:], strict=True)
        ):
            raise PlanError(
                name,
                f"input {OnnxTensor(tensor.name, tensor.dtype, dims)} does not take the size of {given}",
                hint="set the preprocess node's `size` and `fit`, or choose another model",
                code="E516",
            )

    def _declared(self, name: str, tensor: OnnxTensor, dims: tuple[int | str, ...]) -> Shape | None:
        """What ``engine.input_shapes`` says of the input, checked against what the model takes."""
        shape = (self.engine.input_shapes or {}).get(tensor.name)
        if shape is not None and not _fits(shape, dims):
            raise PlanError(
                name,
                f"engine.input_shapes.{tensor.name}={list(shape)}: the model takes [{', '.join(map(str, dims))}]",
                hint="correct it, or leave engine.input_shapes out to take the shape from the frames",
                code="E517",
            )
        return shape

    def _check_named(self, name: str, model: OnnxModel) -> None:
        """Where shapes are given, they are given for every input by its own name."""
        declared = self.engine.input_shapes
        names = [tensor.name for tensor in model.inputs]
        if declared is None:
            return
        for one in declared:
            if one not in names:
                raise PlanError(
                    name,
                    f"engine.input_shapes.{one}: the model has no such input{did_you_mean(one, names)}; "
                    f"it has: {join_sorted(names)}",
                    hint="correct the name under engine.input_shapes",
                    code="E517",
                )
        for one in names:
            if one not in declared:
                raise PlanError(
                    name,
                    f"engine.input_shapes has no {one}; the model has the inputs {join_sorted(names)}",
                    hint="give each input its own shape, or leave engine.input_shapes out to take them from the frames",
                    code="E517",
                )

    def _check_declared(self, name: str, tensor: OnnxTensor, shape: Shape) -> None:
        wanted = (self.engine.input_shapes or {}).get(tensor.name)
        if wanted is not None and wanted != shape:
            raise PlanError(
                name,
                f"engine.input_shapes.{tensor.name}={list(wanted)}, but the frames make {list(shape)}",
                hint=f"set engine.batch={wanted[0]}"
                if wanted[1:] == shape[1:]
                else "leave engine.input_shapes out to take the shape from the frames",
                code="E517",
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


def _fits(shape: Shape, dims: tuple[int | str, ...]) -> bool:
    """Whether the sizes agree with those that the model fixes."""
    return len(shape) == len(dims) and all(
        size == dim for size, dim in zip(shape, dims, strict=True) if isinstance(dim, int)
    )


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
