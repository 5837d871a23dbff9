"""The table of a model's layers, in the form of Keras, drawn with rich."""
from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from dlcompile import tree
from dlcompile.errors import ArgumentError, Error
from dlcompile.layers.base import Layer, map_shapes
from dlcompile.layers.symbolic import Call, KerasTensor, Operation, OpsFunction, shape_of
from dlcompile.variables import Variable

if TYPE_CHECKING:
    from dlcompile.models.model import Model

NARROW, WIDE = 88, 108
"""characters of a line without and with what layers are connected to, where the terminal has that many"""

COLUMNS = {"Layer (type)": "left", "Output Shape": "left", "Param #": "right", "Connected to": "left", "Trainable": "center"}
SHARES = {False: (0.45, 0.35, 0.2), True: (0.3, 0.26, 0.18, 0.26)}
"""how a line is divided, without and with connections"""


def print_summary(model: Model, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False,
                  show_trainable: bool = False, layer_range: Sequence[str] | None = None) -> None:
    """Print the table, or call `print_fn` with it. The arguments are those of `Model.summary`."""
    operations = list(model._network.operations) if model._network is not None and not model.is_chain else list(model.layers)
    calls = None if model._network is None or _is_chain(model) else set(model._network.calls)
    table = _table(_part(operations, layer_range), calls, line_length, expand_nested, show_trainable)
    console = Console(highlight=False, **({} if print_fn is None else {"force_terminal": False, "color_system": None}),
                      **({} if line_length is None else {"width": line_length}))
    if print_fn is not None:
        console.begin_capture()
    console.print(f'[bold]Model: "{escape(model.name)}"[/bold]')
    console.print(table)
    for line in _totals(model):
        console.print(line)
    if print_fn is not None:
        print_fn(console.end_capture())


def _is_chain(model: Model) -> bool:
    """Whether each layer has one input and is called once, so that the order of the rows says what is connected to what."""
    if model.is_chain:
        return True
    calls = model._network.calls
    heads = [parent for call in calls for parent in call.parents]
    return (len(heads) == len(set(heads)) and len({call.operation for call in calls}) == len(calls) and len(model.inputs) == 1
            and all(len(call.inputs) <= 1 for call in calls))


def _part(operations: list[Operation], layer_range: Sequence[str] | None) -> list[Operation]:
    """The operations from the first whose name is as the first expression says to the last as the second one says."""
    if layer_range is None:
        return operations
    if isinstance(layer_range, str) or len(layer_range) != 2:
        raise ArgumentError(f"layer_range is two names or regular expressions, the first layer's and the last one's, not {layer_range!r}")
    places = [[i for i, operation in enumerate(operations) if re.match(pattern, operation.name)] for pattern in layer_range]
    for pattern, found in zip(layer_range, places):
        if not found:
            raise ArgumentError(f"no layer's name is {pattern!r}")
    return operations[min(places[0]):max(places[1]) + 1]


def _table(operations: Sequence[Operation], calls: set[Call] | None, line_length: int | None, expand_nested: bool, show_trainable: bool) -> Table:
    names = [name for name in COLUMNS if (name != "Connected to" or calls is not None) and (name != "Trainable" or show_trainable)]
    widest = (NARROW if calls is None else WIDE) + (12 if show_trainable else 0)
    width = line_length or min(widest, shutil.get_terminal_size().columns - 4)
    shares = [share * (0.9 if show_trainable else 1) for share in SHARES[calls is not None]] + [0.1] * show_trainable
    edges = [int(sum(shares[:i]) * width + 1e-9) for i in range(len(shares) + 1)]
    widths = [b - a for a, b in zip(edges, edges[1:])]
    if min(widths) < 4:
        raise ArgumentError(f"a summary does not fit into {width} characters")
    table = Table(*(Column(name, justify=COLUMNS[name], width=w, overflow="fold") for name, w in zip(names, widths)), width=width, show_lines=True)

    def rows(operation: Operation, depth: int) -> None:
        cells = [escape(f"{'   ' * depth}{'└ ' if depth else ''}{operation.name} ") + f"([cyan]{escape(_type_of(operation))}[/cyan])",
                 escape(_shape_text(operation)), _count_text(operation)]
        if calls is not None:
            cells.append(escape(_connections(operation, calls)))
        if show_trainable:
            trained = isinstance(operation, Layer) and operation.weights
            cells.append("-" if not trained else "[green]Y[/green]" if operation.trainable else "[red]N[/red]")
        table.add_row(*cells)
        if expand_nested:
            for inner in getattr(operation, "layers", ()):
                rows(inner, depth + 1)

    for operation in operations:
        rows(operation, 0)
    return table


def _type_of(operation: Operation) -> str:
    """The class of a layer as the table shows it."""
    if isinstance(operation, OpsFunction):
        return "".join(word.title() for word in operation.function.__name__.split("_"))
    return "Functional" if type(operation).__name__ == "Model" else type(operation).__name__


def _shape_text(operation: Operation) -> str:
    """The shape of the output, of several the structure of shapes; "?" where it is not known."""
    if operation._calls:
        shapes = tree.map_structure(lambda leaf: _text(leaf.shape) if isinstance(leaf, KerasTensor) else "None", operation._calls[-1].result)
    else:
        try:
            shapes = _shapes_of(operation)
        except (Error, NotImplementedError):
            return "?"
    return shapes if isinstance(shapes, str) else str(shapes).replace("'", "")


def _shapes_of(layer: Layer) -> Any:
    """The shapes of what a layer returns that has not been called with symbolic tensors, but built."""
    if not layer.built or not layer._build_shapes:
        raise ArgumentError("not built")
    inputs = {name: map_shapes(lambda shape: KerasTensor(shape, layer.compute_dtype), shapes) for name, shapes in layer._build_shapes.items()}
    first, *others = inputs.values()
    result = layer.compute_output_spec(first) if not others else layer.compute_output_spec(**inputs)
    return tree.map_structure(lambda leaf: _text(shape_of(leaf)), result)


def _text(shape: tuple) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _count_text(operation: Operation) -> str:
    if not isinstance(operation, Layer):
        return "[green]0[/green]"
    try:
        return f"[green]{operation.count_params():,}[/green]"
    except ArgumentError:
        return "[green]0[/green] (unbuilt)"


def _connections(operation: Operation, calls: set[Call]) -> str:
    """Where the inputs come from: layer[call][output], of all calls in the model."""
    found = []
    for call in operation._calls:
        if call in calls:
            for tensor in call.inputs:
                parent, index = tensor.history
                found.append(f"{parent.operation.name}[{parent.operation._calls.index(parent)}][{index}]")
    return ", ".join(found) or "-"


def _totals(model: Model) -> list[str]:
    """How many elements the weights have, and how many bytes."""
    optimizer = getattr(model, "optimizer", None)
    counted = {"Trainable": model.trainable_weights, "Non-trainable": model.non_trainable_weights}
    if optimizer is not None and getattr(optimizer, "variables", None):
        counted["Optimizer"] = list(optimizer.variables)
    counted = {"Total": [v for variables in counted.values() for v in variables], **counted}
    return [f"[bold] {what} params: [/bold][green]{sum(map(_elements, variables)):,}[/green] ({_size_text(variables)})"
            for what, variables in counted.items()]


def _elements(variable: Variable) -> int:
    return int(np.prod(variable.shape, dtype=np.int64))


def _size_text(variables: Sequence[Variable]) -> str:
    size, unit = float(sum(_elements(v) * v.dtype.itemsize for v in variables)), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.2f} {unit}"


__all__ = ["print_summary"]
