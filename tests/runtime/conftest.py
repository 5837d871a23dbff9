"""Small libraries, built once, and both call paths."""
import numpy as np
import pytest

from dlcompile.codegen import generate
from dlcompile.graph import symbol
from dlcompile.kernels.target import resolve_target
from dlcompile.runtime.arguments import Arguments
from dlcompile.runtime.fallback import Caller as PlainCaller
from dlcompile.runtime.library import Library
from dlcompile.runtime.model import _port, _StaticModel
from dlcompile.toolchain import build
from tests.programs import FLOAT, constrained, copies, weighted_sum

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"]


class PlainModel(PlainCaller):
    """The plain-Python call path behind the same library."""

    def __init__(self, library: Library, threads: int | None = None):
        info = library.info
        ports = tuple([_port(p) for p in group] for group in (info.inputs, info.outputs))
        arguments = Arguments(info.name, info.inputs, info.outputs, info.symbols)
        super().__init__(library, library.handle, (), ports, arguments, len(info.symbols), threads or 0, np.empty)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """Name → path of a library."""
    from dlcompile.graph import DTYPES as TABLE

    by_name = {row.name: row.numpy for row in TABLE.values()}
    n = symbol("n")
    programs = [
        weighted_sum(), weighted_sum("fixed", 5), weighted_sum("single", threads=1), constrained(),
        copies("types", [(name, by_name[name], (n,)) for name in DTYPES], ("n",)),
        copies("half", [("h", by_name["bfloat16"], (2, n))], ("n",)),
        copies("pair", [("a", FLOAT, (n, 4)), ("out", FLOAT, (n,))], ("n",)),
        copies("scalar", [("s", FLOAT, ()), ("k", by_name["int64"], ())]),
    ]
    folder = tmp_path_factory.mktemp("libraries")
    return {p.name: build(generate(p, resolve_target("native")), folder / f"{p.name}.so") for p in programs}


@pytest.fixture(params=["cython", "plain"])
def load_model(request, libraries):
    """load_model(name, threads=None) with each of the call paths."""
    kind = _StaticModel if request.param == "cython" else PlainModel
    if request.param == "cython":
        pytest.importorskip("dlcompile.runtime._call")

    def load(name: str, threads: int | None = None):
        return kind(Library(libraries[name]), threads)

    return load
