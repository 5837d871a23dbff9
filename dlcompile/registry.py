"""Names and configurations of objects: "mse" is a loss, "adam" an optimizer, and what a file holds of a model is made of such words.

Each kind of object has a `Family`, the table of what its names mean. Classes and functions of a user's own join in by
`register_keras_serializable`, in a `custom_object_scope`, or as `custom_objects` where something is read. Nothing that a file names is
imported or executed: a name that is in none of these tables is an error.
"""
from __future__ import annotations

import contextlib
import contextvars
import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes  # noqa: F401  so that NumPy knows "bfloat16" by its name
import numpy as np

from dlcompile.errors import ArgumentError, Error

KINDS = {
    "activations": "activation", "callbacks": "callback", "constraints": "constraint", "initializers": "initializer", "layers": "layer",
    "losses": "loss", "metrics": "metric", "models": "model", "optimizers": "optimizer", "optimizers.schedules": "learning rate schedule",
    "random": "random number generator", "regularizers": "regularizer",
}
"""module of dlcompile → what one of its objects is called; the modules a configuration may name"""

FAMILIES: dict[str, Family] = {}
"""module → its table, filled when the module is imported"""

_registered: dict[str, Any] = {}
_names: dict[Any, str] = {}
_scope: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("dlcompile_custom_objects", default={})  # noqa: B039  never written


def snake_case(name: str) -> str:
    """`GlorotUniform` as glorot_uniform; the words of a name as Keras finds them.

    >>> snake_case("GlorotUniform"), snake_case("MeanIoU"), snake_case("L1L2")
    ('glorot_uniform', 'mean_io_u', 'l1l2')
    """
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


class Configurable:
    """An object that can be made again from its configuration: the arguments of its class, as JSON can hold them."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an object like this one."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """The object of what `get_config` has returned."""
        return cls(**config)


class Family:
    """The objects of one module by their names, and the functions `get`, `serialize` and `deserialize` that the module has for them.

    module:   the name of the module below dlcompile, one of `KINDS`.
    base:     the class of its objects, where functions are none.
    any_case: whether a name's case does not matter.
    """

    def __init__(self, module: str, base: type | None = None, *, any_case: bool = False):
        self.module, self.kind, self.base, self.any_case = module, KINDS[module], base, any_case
        self.objects: dict[str, Any] = {}
        FAMILIES[module] = self

    def add(self, *objects: Any, snake: bool = False, **aliases: Any) -> None:
        """Take in classes and functions by their own names, by these in snake_case as well where `snake`, and by other names."""
        for item in objects:
            self.objects[item.__name__] = item
            if snake:
                self.objects.setdefault(snake_case(item.__name__), item)
        self.objects.update(aliases)

    def look(self, name: str) -> Any:
        """The class or function of the table that a name stands for; None for a name that it does not have."""
        if name in self.objects or not self.any_case:
            return self.objects.get(name)
        return {key.lower(): item for key, item in self.objects.items()}.get(name.lower())

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The class or function that a name stands for, a user's own first. ArgumentError with what it may have been meant to be."""
        found = custom_object(name, custom_objects)
        if found is None:
            found = self.look(name)
        if found is None:
            raise ArgumentError(f"there is no {self.kind} {name!r}{suggestion(name, self.objects, self.names())}")
        return found

    def get(self, identifier: Any) -> Any:
        """The object that is meant by its name, its configuration, its class, or itself; None for None.

        A name that stands for a class means an object made with the class's defaults. ArgumentError for what can be none.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, Mapping):
            identifier = self.deserialize(identifier)
        if inspect.isclass(identifier):
            identifier = _made_with_defaults(identifier)
        if not (callable(identifier) if self.base is None else isinstance(identifier, self.base)):
            what = "a function" if self.base is None else f"one of the class {self.base.__name__}"
            raise ArgumentError(f"what is expected is the name, configuration or class of a {self.kind}, or {what}; not "
                                f"{type(identifier).__name__} {identifier!r}")
        return identifier

    def names(self) -> list[str]:
        """The objects' own names, each once."""
        return list(dict.fromkeys(item.__name__ for item in self.objects.values()))

    def serialize(self, item: Any) -> Any:
        """What JSON can hold of an object: the name of a function, {"module", "class_name", "config"} of anything else."""
        if inspect.isfunction(item):
            return function_name(item)
        return serialize(item)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object of a configuration that `serialize` made, or of a name."""
        if isinstance(config, str):
            return self.find(config, custom_objects)
        return deserialize(config, custom_objects, self)


def _made_with_defaults(kind: type) -> Any:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise ArgumentError(f"{kind.__name__} cannot be made without arguments: {error}") from None
    return kind()


def suggestion(name: str, names: Iterable[str], all_names: Iterable[str] | None = None) -> str:
    """The end of a message about a name that is none: those of `names` that look like it, or else all of `all_names`.

    >>> suggestion("adma", ["Adam", "SGD"])
    '; did you mean Adam?'
    """
    names = list(names)
    likeness = {other: tuple(difflib.SequenceMatcher(None, *pair).ratio() for pair in ((name.lower(), other.lower()), (name, other)))
                for other in names}
    close = sorted((other for other in names if likeness[other][0] >= 0.6), key=lambda other: likeness[other], reverse=True)[:2]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(sorted(names if all_names is None else all_names, key=str.lower))}"


# -- a user's own objects -----------------------------------------------------------------------------------------------------
def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator for a class with `get_config`, or a function, that files may name: as "package>name".

    >>> @register_keras_serializable("mine")
    ... def swish(x):
    ...     return x
    >>> get_registered_name(swish)
    'mine>swish'
    """
    def register(item: Any) -> Any:
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise ArgumentError(f"{item.__name__} cannot be registered: it has no get_config()")
        full = f"{package}>{name or item.__name__}"
        _registered[full] = item
        _names[item] = full
        return item

    return register


def get_registered_name(item: Any) -> str:
    """The name under which a class or function is registered, or its own."""
    return _names.get(item, getattr(item, "__name__", str(item)))


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What is registered under a name, in scope, or among `custom_objects`; None where nothing is."""
    return custom_object(name, custom_objects)


def get_custom_objects() -> dict[str, Any]:
    """The table of registered objects itself: what is put into it is found from then on."""
    return _registered


@contextlib.contextmanager
def custom_object_scope(*scopes: Mapping[str, Any]) -> Iterator[None]:
    """A context in which names mean what the given {name: class or function} say.

    >>> with custom_object_scope({"double": lambda x: 2 * x}):
    ...     custom_object("double")(4)
    8
    """
    token = _scope.set({**_scope.get(), **{name: item for scope in scopes for name, item in scope.items()}})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope


def custom_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What a name means to the user: in scope, registered, or given; None where it means nothing."""
    for table in (_scope.get(), custom_objects or {}, _registered):
        if name in table:
            return table[name]
    return None


# -- configurations -----------------------------------------------------------------------------------------------------------
def function_name(function: Any) -> str:
    """What a file calls a function. ArgumentError for one without a name."""
    if function.__name__ == "<lambda>":
        raise ArgumentError("a lambda has no name by which a file could call it; define a function and decorate it with "
                            "register_keras_serializable")
    return get_registered_name(function)


def _module_of(kind: Any) -> str | None:
    """The module of dlcompile whose table has a class or function."""
    return next((module for module, family in FAMILIES.items() if any(item is kind for item in family.objects.values())), None)


def serialize(item: Any) -> Any:
    """What JSON can hold of an object, or of lists, tuples and dictionaries of objects.

    An object with `get_config` becomes {"module", "class_name", "config", "registered_name"}, a function the same with the class name
    "function", an array {"class_name": "__numpy__"}; a tuple becomes a list, an element type its name. ArgumentError for anything else.
    """
    if item is None or isinstance(item, (str, bool, int, float)):
        return item
    if isinstance(item, (list, tuple)):
        return [serialize(value) for value in item]
    if isinstance(item, Mapping):
        return {str(key): serialize(value) for key, value in item.items()}
    if isinstance(item, np.dtype):
        return item.name
    if isinstance(item, np.ndarray) and item.ndim:
        return {"class_name": "__numpy__", "config": {"value": item.tolist(), "dtype": item.dtype.name}}
    if isinstance(item, (np.ndarray, np.generic)):
        return item.item()
    if isinstance(item, type) and issubclass(item, np.generic):
        return np.dtype(item).name
    kind = item if inspect.isfunction(item) else type(item)
    if hasattr(item, "get_config") and not inspect.isclass(item):
        class_name, config = kind.__name__, {key: serialize(value) for key, value in item.get_config().items()}
    elif inspect.isfunction(item):
        class_name, config = "function", function_name(item)
    else:
        raise ArgumentError(f"{item!r} cannot be written to a file: {kind.__name__} has no get_config()")
    module = _module_of(kind)
    return {"module": f"dlcompile.{module}" if module else None, "class_name": class_name, "config": config,
            "registered_name": None if module else get_registered_name(kind)}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, family: Family | None = None) -> Any:
    """The object, or the list or dictionary of them, of what `serialize` made.

    Names are looked up in `custom_objects`, in the scope, among what is registered, then in the table of the module that the configuration
    names (dlcompile.losses, or keras.losses), in `family`, or where it says neither in all tables. ArgumentError for a name that is in
    none, and for a configuration that a class cannot take.
    """
    if isinstance(config, (list, tuple)):
        return [deserialize(value, custom_objects) for value in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config or "config" not in config:
        if family is not None:
            raise ArgumentError(f"the configuration of a {family.kind} has the keys 'class_name' and 'config', not {', '.join(map(repr, config))}")
        return {key: deserialize(value, custom_objects) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name == "__numpy__":
        return np.array(inner["value"], np.dtype(inner["dtype"]))
    if name == "function":
        return _meant(config, inner, custom_objects, family)
    kind = _meant(config, name, custom_objects, family)
    if not inspect.isclass(kind):
        raise ArgumentError(f"{name!r} is no class that could be made with a configuration")
    try:
        if hasattr(kind, "from_config"):
            with custom_object_scope(custom_objects or {}):
                return kind.from_config(dict(inner))
        return kind(**inner)
    except TypeError as error:
        if isinstance(error, Error):  # which says what is wrong
            raise
        raise ArgumentError(f"{name} cannot be made with {inner}: {error}") from error


def _meant(config: Mapping[str, Any], name: Any, custom_objects: Mapping[str, Any] | None, family: Family | None) -> Any:
    """The class or function that a configuration names."""
    if not isinstance(name, str):
        raise ArgumentError(f"a configuration names its class by a string, not by {name!r}")
    module, registered = config.get("module"), config.get("registered_name")
    for known in (registered, name):
        found = custom_object(known, custom_objects) if known else None
        if found is not None:
            return found
    if module is None and registered is None or module == "builtins" and registered in (None, name) or module in ("dlcompile", "keras"):
        table = family
        tables = [_table(m) for m in KINDS]
    else:
        table = _table(module) if isinstance(module, str) else None
        tables = []
    if table is not None:
        return table.find(name)
    for table in tables:
        if table is not None and table.look(name) is not None:
            return table.look(name)
    raise ArgumentError(f"there is nothing called {name!r}; a class or function of your own is handed over as custom_objects={{{name!r}: …}}, or "
                        "decorated with register_keras_serializable before the file is read")


def _table(module: str) -> Family | None:
    """The family of a module that a configuration names; None for a module that has none."""
    root, _, rest = module.partition(".")
    if root in ("dlcompile", "keras"):
        module = rest.removeprefix("src.")
    module = next((m for m in sorted(KINDS, key=len, reverse=True) if module == m or module.startswith(m + ".")), "")
    if module and module not in FAMILIES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"dlcompile.{module}")  # one of KINDS, whatever the configuration says
    return FAMILIES.get(module)


__all__ = ["FAMILIES", "Configurable", "CustomObjectScope", "Family", "custom_object", "custom_object_scope", "deserialize", "get_custom_objects",
           "get_registered_name", "get_registered_object", "register_keras_serializable", "serialize", "snake_case", "suggestion"]
