"""Inputs as the command line spells them: files, numbers, random values that mean something to the model."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.graph import Dim, evaluate, parse_dim
from dlcompile.graph.graph import Graph
from dlcompile.graph.tensor import Tensor
from dlcompile.runtime import CompiledModel, TensorInfo

BATCH_NAMES = ("batch", "n", "b")
BATCH, LENGTH = 2, 32
"""what a symbolic dimension is for random inputs where `--dim` does not say: 2 for a batch, 32 (a multiple of most strides) for others"""


# -- options ----------------------------------------------------------------------------------------------------------------
def dims_option(text: str):
    """The repeatable option `--dim NAME=N`."""
    return click.option("--dim", "dims", multiple=True, metavar="NAME=N", callback=_parse_dims, help=text)


def inputs_option(function):
    """The repeatable option `--input NAME=VALUE`."""
    return click.option("--input", "inputs", multiple=True, metavar="[NAME=]VALUE", help=(
        "A value for an input: a .npy file, an ONNX tensor (.pb), a number to fill it with, or 'random'. The name may be left out where the "
        "model has one input. Inputs not named are random."))(function)


def _parse_dims(context, parameter, values: Sequence[str]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for text in values:
        name, sign, number = text.partition("=")
        if not sign or not name or not number.isdecimal():
            raise click.BadParameter(f"{text!r} is not NAME=N with a whole number N")
        dims[name] = int(number)
    return dims


# -- values -----------------------------------------------------------------------------------------------------------------
def make_inputs(ports: Sequence[TensorInfo], symbols: Sequence[str], specs: Iterable[str], dims: Mapping[str, int], seed: int,
                limits: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """An array for each input, by name. `specs` are the values of `--input`, `dims` the sizes of symbolic dimensions, `limits` the
    values an integer input must stay below (see `index_limits`)."""
    given = _by_name(specs, [p.name for p in ports])
    unknown = sorted(set(dims) - set(symbols))
    if unknown:
        raise ArgumentError(f"no dimension is called {', '.join(unknown)}; the symbolic ones are: {', '.join(symbols) or 'none'}")
    arrays = {p.name: _read(p, given[p.name]) for p in ports if _is_file(given.get(p.name, "random"))}
    sizes = {**{s: default_size(s) for s in symbols}, **_implied(ports, arrays, symbols), **dims}
    rng = np.random.default_rng(seed)
    for port in ports:
        if port.name not in arrays:
            shape = tuple(d if isinstance(d, int) else evaluate(parse_dim(d), sizes) for d in port.shape)
            arrays[port.name] = _filled(port, shape, given.get(port.name, "random"), rng, (limits or {}).get(port.name))
    return {p.name: arrays[p.name] for p in ports}


def _by_name(specs: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for spec in specs:
        matches = [n for n in names if spec.startswith(f"{n}=")]  # a name may hold an equals sign itself
        if matches:
            name = max(matches, key=len)
            given[name] = spec[len(name) + 1:]
        elif "=" in spec:
            raise ArgumentError(f"--input {spec}: the model has no input of that name; its inputs are {', '.join(names)}")
        elif len(names) == 1:
            given[names[0]] = spec
        elif spec != "random":
            raise ArgumentError(f"--input {spec}: say for which input, as NAME={spec}; the model has {', '.join(names)}")
    return given


def _is_file(text: str) -> bool:
    return text.endswith((".npy", ".pb"))


def _read(port: TensorInfo, path: str) -> np.ndarray:
    try:
        array = read_tensor_file(Path(path)) if path.endswith(".pb") else np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArgumentError(f"input {port.name!r}: {path} cannot be read: {error}") from None
    return fitted(array, port)


def fitted(array: np.ndarray, port: TensorInfo) -> np.ndarray:
    """The array as the input takes it: leading axes of extent 1 added, floats of another width converted."""
    if array.ndim < len(port.shape):
        array = array.reshape((1,) * (len(port.shape) - array.ndim) + array.shape)
    both_float = array.dtype.kind == "f" and port.dtype.kind in "fV"
    both_integer = array.dtype.kind in "iu" and port.dtype.kind in "iu"
    if both_float or (both_integer and np.array_equal(array.astype(port.dtype), array)):
        return array.astype(port.dtype, copy=False)
    return array


def read_tensor_file(path: Path) -> np.ndarray:
    """The array in a file that holds an ONNX TensorProto."""
    import onnx
    from google.protobuf.message import DecodeError

    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(f"not an ONNX tensor: {error}") from None
    return onnx.numpy_helper.to_array(tensor)


def default_size(symbol: str) -> int:
    """The size of a symbolic dimension for random inputs, by its name."""
    name = symbol.lower()
    return BATCH if name in BATCH_NAMES or "batch" in name else LENGTH


def _implied(ports: Sequence[TensorInfo], arrays: Mapping[str, np.ndarray], symbols: Sequence[str]) -> dict[str, int]:
    """What the shapes of given arrays say about symbolic dimensions."""
    sizes: dict[str, int] = {}
    for port in ports:
        if port.name in arrays:
            for extent, (symbol, scale, offset) in zip(arrays[port.name].shape, port.axes):
                if symbol >= 0:
                    sizes.setdefault(symbols[symbol], (extent - offset) // scale)
    return sizes


def _filled(port: TensorInfo, shape: tuple[int, ...], text: str, rng: np.random.Generator, limit: int | None) -> np.ndarray:
    if text != "random":
        try:
            return np.full(shape, float(text) if port.dtype.kind in "fV" else int(text), port.dtype)
        except (ValueError, OverflowError):
            raise ArgumentError(f"input {port.name!r} ({port}): {text!r} is no .npy or .pb file, no number of that type, nor 'random'") from None
    if port.dtype.kind == "b":
        return rng.random(shape) < 0.5
    if port.dtype.kind in "iu":
        full = 128 if port.dtype == np.int8 else 256 if port.dtype == np.uint8 else 2
        return rng.integers(0, limit or full, shape).astype(port.dtype)
    return rng.standard_normal(shape).astype(port.dtype)


def index_limits(graph: Graph) -> dict[str, int]:
    """For each integer input that picks rows of a table (token ids), the number of rows: what random values must stay below."""
    users = graph.users()
    limits: dict[str, int] = {}
    for name, tensor in zip(graph.input_names, graph.inputs):
        if tensor.dtype.kind in "iu":
            found = [n for n in _tables(tensor, users) if isinstance(n, int)]
            if found:
                limits[name] = min(found)
    return limits


def _tables(tensor: Tensor, users) -> Iterable[int | Dim]:
    """The extents of the axes that values computed from `tensor` by integer arithmetic pick from."""
    seen, waiting = {tensor}, [tensor]
    while waiting:
        current = waiting.pop()
        for node in users.get(current, ()):
            if node.op in ("gather", "take_along_axis") and node.inputs[1] is current:
                yield node.inputs[0].shape[node.attributes.get("axis", 0)]
                continue
            for result in node.outputs:
                if result.dtype.kind in "iu" and result not in seen:
                    seen.add(result)
                    waiting.append(result)


def refuse_structured(compiled: CompiledModel) -> None:
    """ArgumentError for a model whose inputs or outputs are not plain arrays: a command line has no way to write them."""
    if "interface" in compiled.info.metadata:
        raise ArgumentError(f"{compiled.name}: its inputs or outputs are sequences, optional values or maps, which a command line cannot write; "
                            "call it from Python: dlcompile.compile or dlcompile.load")
