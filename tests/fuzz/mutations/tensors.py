"""Mutations of tensors and types: shapes, element types, bytes, elements, where they are stored."""
from __future__ import annotations

from random import Random

import numpy as np
import onnx
from onnx import TensorProto, TypeProto, helper, numpy_helper

from tests.fuzz import structure
from tests.fuzz.values import DIM_PARAMS, LOCATIONS, ODD_DTYPES, integer, number, text


def _tensor(random: Random, model: onnx.ModelProto) -> TensorProto | None:
    found = structure.tensors(model)
    return random.choice(found) if found else None


def change_dims(random: Random, model: onnx.ModelProto) -> None:
    """Another shape: of the same number of elements or not, and perhaps with a thousand dimensions."""
    tensor = _tensor(random, model)
    if tensor is None:
        return
    dims = list(tensor.dims)
    kind = random.randrange(5)
    if kind == 0 and dims:
        place = random.randrange(len(dims))
        dims[place] = integer(random, dims[place])
    elif kind == 1:
        dims.insert(random.randint(0, len(dims)), random.choice((1, 1, 0, -1, 2)))
    elif kind == 2 and dims:
        del dims[random.randrange(len(dims))]
    elif kind == 3:
        dims = [int(np.prod([d % 2**20 for d in dims], dtype=np.int64))] + [1] * random.choice((0, 1, 8, 40, 70))
    else:
        dims = [integer(random) for _ in range(random.choice((1, 2, 3)))]
    tensor.dims[:] = dims


def change_dtype(random: Random, model: onnx.ModelProto) -> None:
    """Another element type for the same bytes."""
    tensor = _tensor(random, model)
    if tensor is not None:
        tensor.data_type = random.choice(ODD_DTYPES)


def change_bytes(random: Random, model: onnx.ModelProto) -> None:
    """Fewer bytes or elements, more, none, others."""
    tensor = _tensor(random, model)
    if tensor is None:
        return
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
        cut = random.randrange(len(data) + 1)
        tensor.raw_data = random.choice((data[:cut], data + b"\0", data * 2, b"", data[:cut] + random.randbytes(8) + data[cut + 8:]))
        return
    for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"):
        elements = getattr(tensor, field)
        if elements:
            kind = random.randrange(3)
            if kind == 0:
                elements.pop()
            elif kind == 1:
                elements.append(elements[-1])
            else:
                del elements[:]
            return
    tensor.raw_data = b"\0" * random.choice((0, 1, 4, 8, 1000))


def change_elements(random: Random, model: onnx.ModelProto) -> None:
    """Other elements in a tensor that stays what it is: for integers, which are shapes, axes and positions, that is the most fruitful."""
    found = structure.tensors(model)
    integers = [t for t in found if t.data_type in (TensorProto.INT64, TensorProto.INT32)]
    tensor = random.choice(integers or found) if found and random.random() < 0.8 else _tensor(random, model)
    if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
        return
    if tensor.data_type == TensorProto.STRING:
        if tensor.string_data:
            tensor.string_data[random.randrange(len(tensor.string_data))] = text(random)
        return
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:  # it is no tensor any more, of which mutations before this one are the reason
        return
    if not array.size:
        return
    flat = array.reshape(-1)
    for _ in range(random.choice((1, 1, 1, 2, flat.size if flat.size < 10 else 3))):
        place = random.randrange(flat.size)
        if array.dtype.kind in "iu":
            width = array.dtype.itemsize * 8
            value = integer(random, int(flat[place])) % 2**width
            flat[place] = np.uint64(value).astype(f"u{array.dtype.itemsize}").astype(array.dtype)
        elif array.dtype.kind == "b":
            flat[place] = not flat[place]
        else:
            with np.errstate(all="ignore"):
                flat[place] = np.asarray(number(random), np.float64).astype(array.dtype)  # assigned as it is, one that is too large raises
    made = numpy_helper.from_array(array, tensor.name)
    tensor.CopyFrom(made)


def move_outside(random: Random, model: onnx.ModelProto) -> None:
    """External data, at some path, offset and length."""
    tensor = _tensor(random, model)
    if tensor is None:
        return
    tensor.data_location = TensorProto.EXTERNAL
    if random.random() < 0.8:
        tensor.ClearField("raw_data")
    del tensor.external_data[:]
    entries = [("location", random.choice(LOCATIONS))]
    entries += [(key, random.choice(("0", "4096", "-1", str(2**63), "x", "1e3", ""))) for key in ("offset", "length") if random.random() < 0.5]
    for key, value in random.sample(entries, len(entries)):
        tensor.external_data.add(key=key, value=value)


def segment(random: Random, model: onnx.ModelProto) -> None:
    """A tensor said to be a piece, or one that says it is stored where it is not."""
    tensor = _tensor(random, model)
    if tensor is None:
        return
    if random.random() < 0.5:
        tensor.segment.begin, tensor.segment.end = integer(random), integer(random)
    elif tensor.HasField("raw_data"):
        tensor.ClearField("raw_data")
        getattr(tensor, random.choice(("float_data", "int32_data", "int64_data"))).extend([1] * random.choice((0, 1, 4)))


# -- types ------------------------------------------------------------------------------------------------------------------
def change_type_shape(random: Random, model: onnx.ModelProto) -> None:
    """Another dimension of an input, output or inner value: a number, or a name."""
    found = [t for t in structure.tensor_types(model) if t.shape.dim]
    if not found:
        return
    dim = random.choice(random.choice(found).shape.dim)
    if random.random() < 0.6:
        dim.dim_value = random.choice((integer(random, dim.dim_value), random.choice((0, 1, 2, 3, 5))))
    else:
        dim.dim_param = random.choice(DIM_PARAMS)


def make_symbolic(random: Random, model: onnx.ModelProto) -> None:
    """All dimensions of the inputs symbols, different ones or the same."""
    for number_, value in enumerate(model.graph.input):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if random.random() < 0.8:
                dim.dim_param = random.choice((f"d{number_}_{axis}", "n", f"{random.randrange(3)}*n + {random.randrange(3)}"))


def change_type_rank(random: Random, model: onnx.ModelProto) -> None:
    """A dimension more, one fewer, none, no shape at all, very many."""
    found = list(structure.tensor_types(model))
    if not found:
        return
    type_ = random.choice(found)
    kind = random.randrange(5)
    if kind == 0:
        type_.shape.dim.add(dim_value=random.choice((1, 2, 0)))
    elif kind == 1 and type_.shape.dim:
        del type_.shape.dim[random.randrange(len(type_.shape.dim))]
    elif kind == 2:
        del type_.shape.dim[:]
    elif kind == 3:
        type_.ClearField("shape")
    else:
        for _ in range(random.choice((4, 30, 33, 64, 65, 100))):
            type_.shape.dim.add(dim_value=1)


def change_type_dtype(random: Random, model: onnx.ModelProto) -> None:
    """Another element type."""
    found = list(structure.tensor_types(model))
    if found:
        random.choice(found).elem_type = random.choice(ODD_DTYPES)


def change_type_kind(random: Random, model: onnx.ModelProto) -> None:
    """A sequence, an optional, a map, a sparse tensor, nothing: where there was a tensor."""
    found = structure.values(model)
    if not found:
        return
    value = random.choice(found)
    inner = TypeProto()
    inner.CopyFrom(value.type)
    kind = random.randrange(6)
    if kind == 0:
        value.type.CopyFrom(helper.make_sequence_type_proto(inner))
    elif kind == 1:
        value.type.CopyFrom(helper.make_optional_type_proto(inner))
    elif kind == 2:
        value.type.CopyFrom(helper.make_map_type_proto(TensorProto.INT64, inner))
    elif kind == 3:
        value.type.CopyFrom(helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2, 3]))
    elif kind == 4:
        value.type.Clear()
    else:
        for _ in range(random.choice((2, 20, 45))):
            outer = random.choice((helper.make_sequence_type_proto, helper.make_optional_type_proto))(inner)
            inner = TypeProto()
            inner.CopyFrom(outer)
        value.type.CopyFrom(inner)


MUTATIONS = ((change_dims, 3), (change_dtype, 2), (change_bytes, 2), (change_elements, 9), (move_outside, 1), (segment, 1),
             (change_type_shape, 6), (make_symbolic, 4), (change_type_rank, 3), (change_type_dtype, 4), (change_type_kind, 2))
