"""`Layer`: what all layers have in common, with the names and the behaviour of Keras."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import config, constraints, initializers, ops, regularizers, tree
from dlcompile.eager import evaluated
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, as_dtype, is_float
from dlcompile.layers.calling import Signature, call_layer, inside, output_spec, path_of, type_name
from dlcompile.layers.symbolic import KerasTensor, Operation, shape_of
from dlcompile.layers.tracking import own_variables, owned, seed_states, unique
from dlcompile.registry import serialize
from dlcompile.variables import Variable, is_tracing

ABSENT = ("lora_rank", "lora_alpha", "quantization_config")
"""arguments of Keras's layers that are no more than accepted where they turn off what there is not"""


class Layer(Operation):
    """A function of tensors with variables: `call` is the function, `build` makes the variables when the shapes of the inputs are known.

        class Scaled(Layer):
            def __init__(self, factor=1.0, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def build(self, input_shape):
                self.kernel = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="kernel")

            def call(self, x, training=False):
                return x * self.kernel * self.factor

    Variables and layers that are attributes, or are in lists or dictionaries that are, belong to the layer.

    activity_regularizer: a penalty on what the layer returns. trainable: whether optimizers change the variables. dtype: the type of
    variables and of what is computed; `config.floatx` by default. autocast: whether inputs that are floats are converted to it. name:
    unique in a model; by default the name of the class, with a number.
    """

    untracked: frozenset[str] = frozenset({"_calls", "_losses", "_added", "_frozen", "_arguments"})
    """attributes that are not searched for variables and layers"""

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls)
        layer.built, layer._losses, layer._added, layer._frozen = False, [], [], []
        try:
            layer._arguments = inspect.signature(cls.__init__).bind(layer, *args, **kwargs).arguments
        except TypeError:
            layer._arguments = None  # __init__ will say what is wrong
        return layer

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _building(cls.build)

    def __init__(self, *, activity_regularizer: Any = None, trainable: bool = True, dtype: Any = None, autocast: bool = True,
                 name: str | None = None, **kwargs):
        input_shape = _input_shape_of(kwargs)
        for option in ABSENT:
            if kwargs.pop(option, None) is not None:
                raise ArgumentError(f"{type(self).__name__}: {option} is not supported")
        if kwargs:
            raise ArgumentError(f"{type(self).__name__} has no argument {', '.join(map(repr, kwargs))}")
        super().__init__(name)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable, self.autocast = bool(trainable), autocast
        self._dtype = _dtype_of(dtype)
        self.input_spec: Any = None
        self.supports_masking = False
        self.first_shape = input_shape
        self._build_shapes: dict[str, Any] | None = None

    # -- calling --------------------------------------------------------------------------------------------------------------
    def __call__(self, *args, **kwargs) -> Any:
        if "name" not in vars(self):
            raise ArgumentError(f"{type(self).__name__}.__init__ does not call super().__init__()")
        return call_layer(self, args, kwargs)

    def call(self, *args, **kwargs) -> Any:
        """What the layer computes; to be defined by each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(self, inputs)")

    def build(self, input_shape: Any = None) -> None:
        """Make the variables, by `add_weight`. By default there are none, or those that layers make which are called in `call`."""
        self.built = True

    @property
    def builds_in_call(self) -> bool:
        """Whether the variables are made by the layers that `call` calls, so that there is nothing to do before."""
        return False

    @functools.cached_property
    def call_signature(self) -> Signature:
        return Signature(self.call)

    @property
    def converts_inputs(self) -> bool:
        """Whether inputs that are floats are converted to the layer's type."""
        return self.autocast

    def compute_output_spec(self, *args, **kwargs) -> Any:
        """Symbolic tensors like those that the layer returns for the given ones."""
        return output_spec(self, args, kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, or the structure of shapes of the outputs, for inputs of the given shape or structure of shapes."""
        layer = self if self.built else self.from_config(self.get_config())
        dtype = self.compute_dtype
        return tree.map_structure(shape_of, layer.compute_output_spec(map_shapes(lambda shape: KerasTensor(shape, dtype), input_shape)))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output: that of the input, where nothing else is said."""
        return previous_mask

    def remember_inputs(self, tensors: Mapping[str, Any]) -> None:
        """The shapes with which the layer is built, for `get_build_config`."""
        self._build_shapes = {name: tree.map_structure(lambda leaf: shape_of(leaf) if isinstance(leaf, Tensor) else None, value)
                              for name, value in tensors.items()}

    # -- variables ------------------------------------------------------------------------------------------------------------
    def add_weight(self, *args, shape: Sequence[int] | None = None, initializer: Any = None, dtype: Any = None, trainable: bool = True,
                   autocast: bool = True, regularizer: Any = None, constraint: Any = None, aggregation: str = "none",
                   overwrite_with_gradient: bool = False, name: str | None = None) -> Variable:
        """A new variable of the layer.

        initializer: a name, an `Initializer` or a function (shape, dtype) → array; by default "glorot_uniform" for floats, else "zeros".
        dtype: by default the layer's. A name or a shape may come first, without a keyword. `autocast`, `aggregation` and
        `overwrite_with_gradient` are there for scripts that give them.
        """
        for value in args:
            if isinstance(value, str):
                name = value
            else:
                shape = value
        dtype = as_dtype(dtype or self.variable_dtype)
        made = initializers.get(initializer or ("glorot_uniform" if is_float(dtype) else "zeros"))
        extents = tuple(shape or ())
        if any(d is None for d in extents):
            raise ShapeError(f"layer {self.name!r}: {name or 'a variable'} cannot have shape {extents}: all extents of a variable are known")
        variable = Variable(lambda shape, dtype: np.asarray(made(shape, dtype=dtype)), extents, dtype, trainable,
                            name or f"variable_{len(self._added)}")
        variable.path = f"{path_of(self)}/{variable.name}"
        variable.regularizer, variable.constraint = regularizers.get(regularizer), constraints.get(constraint)
        self._added.append(variable)
        if not self.trainable:
            self._freeze()
        return variable

    add_variable = add_weight

    @property
    def layers_inside(self) -> list[Layer]:
        """The layers that are attributes."""
        return [layer for _, layer in owned(self, Layer)]

    def flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """The layer and those inside of it, each before what is inside of it."""
        found: dict[int, Layer] = {}

        def visit(layer: Layer) -> None:
            if id(layer) not in found:
                found[id(layer)] = layer
                if recursive or layer is self:
                    for inner in layer.layers_inside:
                        visit(inner)

        visit(self)
        return [layer for layer in found.values() if include_self or layer is not self]

    @property
    def weights(self) -> list[Variable]:
        """The variables of the layer, the trainable ones first, then those of the layers inside of it."""
        return unique([*own_variables(self), *(v for layer in self.layers_inside for v in layer.weights)])

    @property
    def variables(self) -> list[Variable]:
        """`weights`, and the states of random number generators."""
        return unique([*own_variables(self), *seed_states(self), *(v for layer in self.layers_inside for v in layer.variables)])

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those that optimizers change: none where the layer, or the one that has it, is not `trainable`."""
        if not self.trainable:
            return []
        return unique([*(v for v in own_variables(self) if v.trainable),
                       *(v for layer in self.layers_inside for v in layer.trainable_variables)])

    @property
    def non_trainable_variables(self) -> list[Variable]:
        changed = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in changed]

    @property
    def trainable_weights(self) -> list[Variable]:
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        changed = {id(v) for v in self.trainable_variables}
        return [v for v in self.weights if id(v) not in changed]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self._freeze()
        for layer in self.layers_inside:
            layer.trainable = value

    def _freeze(self) -> None:
        """Make the variables say what the layer says; those that never were trainable stay as they are."""
        if self._trainable:
            for variable in self._frozen:
                variable.trainable = True
            self._frozen = []
        for variable in () if self._trainable else [v for v in own_variables(self) if v.trainable]:
            variable.trainable = False
            self._frozen.append(variable)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the arrays of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Give the `weights` new values, in order. ArgumentError where there are more or fewer, ShapeError for one of another shape."""
        own, weights = self.weights, list(weights)
        if len(weights) != len(own):
            raise ArgumentError(f"layer {self.name!r} has {len(own)} weights, {len(weights)} are given")
        for variable, value in zip(own, weights):
            if np.shape(value) != variable.shape:
                raise ShapeError(f"layer {self.name!r}: {variable.path} has shape {variable.shape}, a value of shape {np.shape(value)} is given")
        for variable, value in zip(own, weights):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of elements of all weights. ArgumentError before they are there."""
        if not self.built and (type(self).build is not Layer.build or self.layers_inside):
            raise ArgumentError(f"layer {self.name!r} has no weights yet: it gets them when it is built, by the first call or by build(input_shape)")
        return sum(int(np.prod(variable.shape)) for variable in self.weights)

    # -- losses ---------------------------------------------------------------------------------------------------------------
    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or several, to the loss of a model that has the layer: in `call`, of what is computed there."""
        for value in tree.flatten(loss):
            if callable(value):
                raise ArgumentError(f"layer {self.name!r}: add_loss takes a tensor that call() has computed, not a function")
            if np.ndim(value) if not isinstance(value, (Tensor, Variable)) else value.rank:
                raise ShapeError(f"layer {self.name!r}: a loss is a scalar, not of shape {tuple(value.shape)}")
            self._losses.append(value)

    @property
    def losses(self) -> list[Any]:
        """What `add_loss` was given in the last call, here and in the layers inside, and what regularizers say of the trainable weights:
        tensors while a function is traced, numbers otherwise."""
        found = [loss for layer in self.flatten_layers() for loss in layer._losses]
        for variable in self.trainable_variables:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable) if is_tracing() else evaluated(variable.regularizer, variable.numpy()))
        return found

    def clear_losses(self) -> None:
        """Forget what `add_loss` was given, here and in the layers inside."""
        for layer in self.flatten_layers():
            layer._losses = []

    # -- configuration --------------------------------------------------------------------------------------------------------
    @property
    def dtype(self) -> str:
        return self._dtype

    @property
    def compute_dtype(self) -> str:
        """The type that the layer computes in."""
        return self._dtype

    @property
    def variable_dtype(self) -> str:
        """The type of its variables."""
        return self._dtype

    @property
    def input_dtype(self) -> str:
        return self.compute_dtype

    @property
    def path(self) -> str:
        """The names of the layers around it when it was built, and its own."""
        return self._added[0].path.rpartition("/")[0] if self._added else self.name

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a layer like this one, as JSON can hold them. A class with arguments of its own adds them; where it does
        not, they are taken as they were given, if all of them are numbers, texts, or lists and dictionaries of these."""
        return {**self.base_config(), **(self.given_config() if type(self).get_config is Layer.get_config else {})}

    def base_config(self) -> dict[str, Any]:
        """The arguments that all layers have."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    def given_config(self) -> dict[str, Any]:
        """The arguments of `__init__` besides those, as they were given. ArgumentError for one that JSON cannot hold."""
        known, given = self.base_config().keys() | {"activity_regularizer"}, {}
        for name, value in (self._arguments or {}).items():
            kind = inspect.signature(type(self).__init__).parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                given.update({key: item for key, item in value.items() if key not in known and key != "autocast"})
            elif value is not self and name not in known:
                if kind is inspect.Parameter.VAR_POSITIONAL:
                    raise ArgumentError(f"{type(self).__name__} takes *{name}, so it has to define get_config() and from_config()")
                given[name] = value
        try:
            return {name: serialize(value) for name, value in given.items()}
        except ArgumentError as error:
            raise ArgumentError(f"{type(self).__name__} has to define get_config(): {error}") from None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """The layer of what `get_config` has returned. ArgumentError where the class cannot be made with it."""
        config, later = dict(config), {}
        parameters = inspect.signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):  # a class of one's own may not hand on what all layers have
            later = {name: config.pop(name) for name in ("name", "trainable", "dtype") if name in config and name not in parameters}
        try:
            layer = cls(**config)
        except TypeError as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError(f"{cls.__name__} cannot be made with {config}: {error}") from error
        layer.name = later.get("name", layer.name)
        layer._dtype = _dtype_of(later["dtype"]) if "dtype" in later else layer._dtype
        if "trainable" in later and not later["trainable"]:
            layer.trainable = False
        return layer

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes with which the layer was built; None before."""
        if not self._build_shapes:
            return None
        shapes = self._build_shapes
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": {f"{k}_shape": v for k, v in shapes.items()}}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer with the shapes of `get_build_config`."""
        if self.built or not config:
            return
        if "input_shape" in config:
            self.build(map_shapes(tuple, config["input_shape"]))
        else:
            self.build(**{name: map_shapes(tuple, shape) for name, shape in config["shapes_dict"].items()})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    __str__ = __repr__


def _building(build: Callable) -> Callable:
    """A `build` in which layers are named as parts of this one, and that says afterwards that it has been done."""
    @functools.wraps(build)
    def wrapped(self, *args, **kwargs):
        if self._build_shapes is None and (args or kwargs):
            self._build_shapes = {"inputs": args[0]} if args else {name.removesuffix("_shape"): shape for name, shape in kwargs.items()}
        with inside(self):
            build(self, *args, **kwargs)
        self.built = True

    return wrapped


def is_shape(value: Any) -> bool:
    """Whether a list or tuple is one shape, not a structure of shapes."""
    return isinstance(value, (list, tuple)) and all(d is None or isinstance(d, (int, np.integer)) for d in value)


def map_shapes(function: Callable[[tuple], Any], structure: Any) -> Any:
    """A structure of shapes with function(shape) in place of each."""
    if structure is None or is_shape(structure):
        return None if structure is None else function(tuple(structure))
    if isinstance(structure, Mapping):
        return {key: map_shapes(function, value) for key, value in structure.items()}
    return type(structure)(map_shapes(function, value) for value in structure)


def _dtype_of(dtype: Any) -> str:
    """The name of a layer's type: of a name, a NumPy type, or what Keras's files hold of a type."""
    if isinstance(dtype, Mapping):
        dtype = dtype.get("config", {}).get("name")
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, str) and dtype.startswith("mixed_"):
        raise ArgumentError(f"dtype {dtype!r}: variables of one type and arithmetic in another are not supported; {dtype[6:]!r} is both")
    try:
        return type_name(dtype)
    except TypeError as error:
        raise ArgumentError(f"dtype: {error}") from None


def _input_shape_of(kwargs: dict[str, Any]) -> tuple | None:
    """The shape of one sample that a first layer may be told as `input_shape`, `batch_input_shape` or `input_dim`; taken out of the
    arguments."""
    shape = kwargs.pop("input_shape", None)
    extent, batched = kwargs.pop("input_dim", None), kwargs.pop("batch_input_shape", None)
    if extent is not None:
        shape = (extent,)
    if batched is not None:
        shape = batched[1:]
    return None if shape is None else tuple(shape)


def scalar(x: Tensor, value: float) -> Tensor:
    """A constant of the type of a tensor."""
    return ops.as_tensor(np.asarray(value, x.dtype))


__all__ = ["Layer", "is_shape", "map_shapes", "scalar"]
