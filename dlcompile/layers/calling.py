"""What happens when a layer is called: arguments converted, variables made the first time, `training` and masks handed on, losses and masks
noted.

A layer may be called with

- symbolic tensors (`KerasTensor`): the result is symbolic too, and knows the layer: the functional API;
- tensors, or while a function is traced: the layer's `call` adds to the graph that is being built;
- arrays: `call` is traced and evaluated at once, and the result is arrays.
"""
from __future__ import annotations

import contextlib
import contextvars
import inspect
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcompile import ops, tree
from dlcompile.eager import evaluated, is_symbolic
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, as_dtype, dtype_name, is_float, provenance
from dlcompile.layers.input_spec import check_inputs
from dlcompile.layers.symbolic import has_symbols, placeholders, shape_of, specs
from dlcompile.masks import mask_of, set_mask
from dlcompile.variables import Variable, tracing, untraced

if TYPE_CHECKING:
    from dlcompile.layers.base import Layer


# -- the context of a call ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Context:
    """What calls inside of a call know: whether this is training (None: nobody has said), and the names of the layers around."""

    training: bool | None = None
    path: tuple[str, ...] = ()


_context: contextvars.ContextVar[Context | None] = contextvars.ContextVar("dlcompile_call", default=None)


@contextlib.contextmanager
def _within(context: Context) -> Iterator[None]:
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


@contextlib.contextmanager
def inside(layer: Layer) -> Iterator[None]:
    """A context in which layers that are built are named as parts of this one."""
    context = _context.get() or Context()
    with _within(Context(context.training, context.path if context.path[-1:] == (layer.name,) else (*context.path, layer.name))):
        yield


def path_of(layer: Layer) -> str:
    """The names of the layers that are being called, and of this one: "encoder/dense"."""
    context = _context.get()
    around = context.path if context is not None else ()
    return "/".join(around if around[-1:] == (layer.name,) else (*around, layer.name))


# -- arguments ----------------------------------------------------------------------------------------------------------------
class Signature:
    """The arguments of a layer's `call`."""

    def __init__(self, call: Any):
        self.signature = inspect.signature(call)
        self.names = tuple(self.signature.parameters)
        self.by_position = tuple(p.name for p in self.signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
        self.training = "training" in self.names
        default = self.signature.parameters["training"].default if self.training else None
        self.default_training = None if default is inspect.Parameter.empty else default

    def bind(self, layer: str, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name; those of `**kwargs` among the others. ArgumentError where `call` does not take them."""
        try:
            bound = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ArgumentError(f"layer {layer!r}: {error}; it is called with ({', '.join(self.names)})") from None
        named: dict[str, Any] = {}
        for name, value in bound.items():
            variadic = self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            named.update(value if variadic else {name: value})
        return named


def _has_tensor(structure: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree.flatten(structure))


def converted(leaf: Any, dtype: np.dtype | None) -> Any:
    """An array, variable or tensor as a tensor, floats as `dtype` where that is given; anything else as it is."""
    if isinstance(leaf, (np.ndarray, np.generic, Variable)) or not isinstance(leaf, Tensor) and hasattr(leaf, "__array__"):
        tensor = ops.as_tensor(leaf)
    elif isinstance(leaf, Tensor):
        tensor = leaf
    else:
        return leaf
    if dtype is not None and is_float(tensor.dtype) and tensor.dtype != dtype:
        tensor = ops.cast(tensor, dtype)
    if tensor is not leaf and mask_of(leaf) is not None:
        set_mask(tensor, mask_of(leaf))
    return tensor


def _float_type(layer: Layer) -> np.dtype | None:
    """What floats are converted to before the layer sees them; None: they stay what they are."""
    dtype = as_dtype(layer.compute_dtype)
    return dtype if layer.converts_inputs and is_float(dtype) else None


# -- the three ways -----------------------------------------------------------------------------------------------------------
def call_layer(layer: Layer, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result of a layer for symbolic tensors, tensors, or arrays."""
    if has_symbols(args, kwargs):
        return layer.symbolic_call(*args, **kwargs)
    return call_with_tensors(layer, args, kwargs) if is_symbolic(args, kwargs) else _call_with_arrays(layer, args, kwargs)


def output_spec(layer: Layer, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What a layer makes of symbolic tensors: found by tracing it, for nothing else."""
    with untraced(), tracing():
        positional, named = placeholders(args, kwargs)
        result = call_with_tensors(layer, positional, named)
    layer.clear_losses()
    return specs(result)


def _call_with_arrays(layer: Layer, args: tuple, kwargs: dict[str, Any]) -> Any:
    dtype = _float_type(layer)

    def prepared(leaf: Any) -> Any:
        if isinstance(leaf, Variable) or not hasattr(leaf, "__array__"):
            return leaf
        array = np.asarray(leaf)
        known = array.astype(dtype) if dtype is not None and _is_float_array(array) and array.dtype != dtype else array
        if known is not leaf and mask_of(leaf) is not None:
            set_mask(known, mask_of(leaf))
        return known

    def function(given: tuple, masks: list) -> tuple:
        for leaf, mask in zip(tree.flatten(given), masks):
            if mask is not None:
                set_mask(leaf, mask)
        result = call_with_tensors(layer, given[0], given[1])
        leaves = tree.flatten(result)
        return result, [mask_of(leaf) for leaf in leaves], [part._losses for part in layer.flatten_layers()]

    given = tree.map_structure(prepared, (args, kwargs))
    result, masks, losses = evaluated(function, given, [mask_of(leaf) for leaf in tree.flatten(given)])
    for leaf, mask in zip(tree.flatten(result), masks):
        if mask is not None:
            set_mask(leaf, mask)
    for part, found in zip(layer.flatten_layers(), losses):
        part._losses = found
    return result


def _is_float_array(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.kind == "V" and is_float(as_dtype(array.dtype))


def call_with_tensors(layer: Layer, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result of a layer's `call`, which builds a graph, with all that goes with it."""
    context = _context.get()
    if context is None:
        layer.clear_losses()
    signature, dtype = layer.call_signature, _float_type(layer)
    training = kwargs.get("training")
    kwargs = {key: value for key, value in kwargs.items() if key not in ("training", "mask") or key in signature.names}
    args, kwargs = tree.map_structure(lambda leaf: converted(leaf, dtype), (args, kwargs))
    arguments = signature.bind(layer.name, args, kwargs)
    first_name, first = next(iter(arguments.items()), ("", None))
    tensors = {name: value for name, value in arguments.items() if _has_tensor(value)}
    if not tensors and any(isinstance(leaf, (int, float)) for leaf in tree.flatten(first)) and tree.is_nested(first):
        raise ArgumentError(f"layer {layer.name!r} takes tensors or arrays, not a {type(first).__name__} of numbers; make it an array")
    check_inputs(layer.name, layer.input_spec, first)
    path = (*context.path, layer.name) if context is not None else (layer.name,)
    if training is None and signature.training:
        training = arguments.get("training")
    if training is None and context is not None:
        training = context.training
    if training is None:
        training = signature.default_training
    with _within(Context(training, path)), provenance("/".join(path)):
        if not layer.built:
            build(layer, tensors)
            check_inputs(layer.name, layer.input_spec, first)
        more = dict(_masks_of(signature.names, first_name, tensors, arguments))
        if signature.training and training is not None:
            more["training"] = training
        more = {name: value for name, value in more.items() if arguments.get(name) is None}
        previous = more.get("mask", arguments.get("mask"))
        if previous is None:
            previous = tree.map_structure(mask_of, first)
        result = tree.map_structure(lambda leaf: converted(leaf, None), _invoke(layer, args, kwargs, more))
        layer.built = True
        if layer.activity_regularizer is not None:
            for leaf in tree.flatten(result):
                if isinstance(leaf, Tensor):
                    layer.add_loss(_activity_loss(layer, leaf))
        _note_masks(layer, first, previous, result)
    return result


def _invoke(layer: Layer, args: tuple, kwargs: dict[str, Any], more: Mapping[str, Any]) -> Any:
    """`call` with what was given, and what is known besides."""
    if more:
        names = layer.call_signature.by_position[:len(args)]  # None may be given by position for what is known
        args = tuple(more.get(name, value) if value is None else value for name, value in zip(names, args)) + args[len(names):]
        kwargs = {**kwargs, **{name: value for name, value in more.items() if name not in names}}
    return layer.call(*args, **kwargs)


def _activity_loss(layer: Layer, output: Tensor) -> Tensor:
    """What the activity regularizer says of an output, for one sample."""
    loss = layer.activity_regularizer(output)
    return ops.div(loss, ops.cast(ops.dim_scalar(output.shape[0]), loss.dtype)) if output.rank else loss


# -- masks --------------------------------------------------------------------------------------------------------------------
def _masks_of(names: tuple[str, ...], first: str, tensors: Mapping[str, Any], arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(argument, masks) of the tensors that a layer is given, for the arguments in which `call` takes them: `mask` for the first,
    NAME_mask."""
    for name, value in tensors.items():
        wanted = f"{name}_mask" if f"{name}_mask" in names else "mask" if name == first and "mask" in names else None
        if wanted is not None and arguments.get(wanted) is None:
            found = tree.map_structure(mask_of, value)
            if any(mask is not None for mask in tree.flatten(found)):
                yield wanted, found


def _note_masks(layer: Layer, first: Any, previous: Any, result: Any) -> None:
    """Give the results of a layer the masks that `compute_mask` finds, where they have none yet."""
    had = any(mask is not None for mask in tree.flatten(previous))
    if not layer.supports_masking:
        if had and "mask" not in layer.call_signature.names:
            warnings.warn(f"layer {layer.name!r} ({type(layer).__name__}) is given an input with a mask and does not support masks: layers behind "
                          "it count all steps", stacklevel=4)
        return
    leaves = tree.flatten(result)
    if all(mask_of(leaf) is not None for leaf in leaves):
        return
    found = layer.compute_mask(first, previous)
    if found is None:
        return
    masks = tree.flatten(found)
    for leaf, mask in zip(leaves, masks):
        if mask is not None and isinstance(leaf, Tensor) and mask_of(leaf) is None:
            set_mask(leaf, mask)


# -- building -----------------------------------------------------------------------------------------------------------------
def build(layer: Layer, tensors: Mapping[str, Any]) -> None:
    """`layer.build` for arguments that have tensors: with the shapes of the first, or by name, as `NAME_shape`."""
    shapes = {f"{name}_shape": tree.map_structure(lambda leaf: shape_of(leaf) if isinstance(leaf, Tensor) else None, value)
              for name, value in tensors.items()}
    layer.remember_inputs(tensors)
    if layer.builds_in_call:
        return
    parameters = [p for p in inspect.signature(layer.build).parameters.values()
                  if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    with untraced():
        if not parameters:
            layer.build()
        elif len(parameters) == 1:
            layer.build(next(iter(shapes.values()), None))
        else:
            missing = [p.name for p in parameters if p.default is p.empty and p.name not in shapes]
            if missing:
                raise ArgumentError(f"{type(layer).__name__}.build takes {', '.join(missing)}, but {layer.name!r} is called with "
                                    f"{', '.join(tensors) or 'no tensors'}: its arguments are the shapes of those of call(), NAME_shape for NAME")
            layer.build(**{p.name: shapes[p.name] for p in parameters if p.name in shapes})


def type_name(dtype: Any) -> str:
    """The name of an element type."""
    return dtype_name(as_dtype(dtype))


__all__ = ["Context", "Signature", "call_layer", "call_with_tensors", "converted", "inside", "output_spec", "path_of", "type_name"]
