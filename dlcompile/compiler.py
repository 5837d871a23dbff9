"""The driver: from a model to a library, through the cache or along the whole road."""
from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from dlcompile.codegen.names import model_identifier
from dlcompile.errors import ArgumentError, InvalidModelError, LibraryError, ToolchainError
from dlcompile.graph import Graph, is_string
from dlcompile.kernels.target import Target, resolve_target, runs_here
from dlcompile.runtime import CompiledModel, check_threads, load
from dlcompile.runtime.elf import read_note
from dlcompile.runtime.model import save_library
from dlcompile.toolchain.build import Progress, build
from dlcompile.toolchain.cache import Cache, user_cache
from dlcompile.toolchain.compiler import extra_flags, find_compiler
from dlcompile.toolchain.digest import digest_of, graph_digest, onnx_digest, own_digest

if TYPE_CHECKING:
    import onnx

    from dlcompile.codegen import Project
    from dlcompile.kernels.program import Program

Model = Union[str, os.PathLike, bytes, Graph, "onnx.ModelProto"]

PRECISIONS = ("default", "strict")


@dataclass(frozen=True)
class Options:
    """What a library depends on besides its model."""

    name: str | None
    target: Target
    precision: str
    dims: tuple[tuple[str, Any], ...]
    tune: int | None = None  # for so many threads (0: the default); None: not at all
    updates: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(name: str | None, target: str | Target, precision: str, dims: Mapping[str, int] | None, tune: int | None = None,
           updates: Mapping[str, str] | None = None) -> Options:
        if name is not None and model_identifier(name) != name:
            raise ArgumentError(f"name={name!r} cannot be the prefix of C functions; {model_identifier(name)!r} can")
        if precision not in PRECISIONS:
            raise ArgumentError(f"precision is {' or '.join(map(repr, PRECISIONS))}, not {precision!r}")
        return Options(name, resolve_target(target), precision, tuple(sorted((dims or {}).items())), tune, tuple((updates or {}).items()))


def compile(model: Model, *, name: str | None = None, target: str | Target = "native", precision: str = "default",
            threads: int | None = None, dims: Mapping[str, int] | None = None, tune: bool = False,
            updates: Mapping[str, str] | None = None, cache: bool = True, progress: Progress | None = None) -> CompiledModel:
    """The compiled form of `model`, ready to call.

    model:     the path of an ONNX file, an `onnx.ModelProto`, the bytes of one, or a `Graph`.
    name:      the prefix of every symbol of the library; the file's stem, or the graph's name, made an identifier by default.
    target:    "native" (the best this machine can run), "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64".
    precision: "default" lets roundings move (batch normalisation folded into convolutions, Winograd's convolutions, Strassen's products), by at
               most 1e-4 of the largest value of a result as a rule; "strict" does not.
    threads:   threads a call uses; None: the CPUs of this process, no more than OMP_NUM_THREADS or than can pay.
    dims:      values for symbolic dimensions, `{"batch": 8}`: code for these alone, which may be a little faster.
    tune:      measure how products and convolutions are computed fastest on this machine, with this many threads, instead of trusting
               estimates. It takes minutes; what it gained, or that it gained nothing, is in the model's `info.metadata["tuning"]`. All
               sizes have to be known (`dims`).
    updates:   outputs that are the next values of inputs, {"next_w": "w"}. A call that is given one array for both, `out=`, updates it in place and
               needs no memory for a second one.
    cache:     keep the library in, and take it from, the user's cache directory (see `dlcompile.toolchain.cache`).
    progress:  called with (what has just been done, steps done, steps in all or 0 where that is not known yet).

    Raises InvalidModelError (UnsupportedOperatorError, ShapeError, DTypeError) for a model that is none or cannot be compiled, and
    ToolchainError where the C compiler is missing or fails.
    """
    check_threads(threads)
    options = Options.of(name, target, precision, dims, (threads or 0) if tune else None, updates)
    if not runs_here(options.target):
        raise ArgumentError(f"this machine cannot run what is compiled for {options.target.name}; compile_library writes it to a file")
    while True:
        with _library(model, options, cache, progress) as path:
            try:
                return load(path, threads=threads)
            except LibraryError:
                if path.exists():
                    raise  # otherwise somebody has just made room in the cache


def compile_library(model: Model, path: str | os.PathLike, *, name: str | None = None, target: str | Target = "native",
                    precision: str = "default", dims: Mapping[str, int] | None = None, updates: Mapping[str, str] | None = None,
                    cache: bool = True, progress: Progress | None = None) -> Path:
    """Write the library of `model` to `path` and its header beside it, without loading it: it may be for another machine than this.

    The parameters and errors of `compile`, and LibraryError where the files cannot be written. For another kind of processor a
    compiler for it is needed: one that CC names, Debian's cross compiler (`gcc-aarch64-linux-gnu`), or Clang with that machine's C library.
    """
    with _library(model, Options.of(name, target, precision, dims, updates=updates), cache, progress) as library:
        header = library.with_suffix(".h").read_text(encoding="utf-8")
        with open(library, "rb") as file:
            return save_library(file.fileno(), header, path)


def lower(model: Model, *, name: str | None = None, target: str | Target = "native", precision: str = "default",
          dims: Mapping[str, int] | None = None, updates: Mapping[str, str] | None = None,
          progress: Progress | None = None) -> tuple[Graph, Program, Project]:
    """The optimised graph, the program it is scheduled as, and the C project that `compile` builds."""
    return _lower(model, Options.of(name, target, precision, dims, updates=updates), progress)


# -- the road ---------------------------------------------------------------------------------------------------------------
def _lower(model: Model, options: Options, progress: Progress | None, ranks: Mapping[int, int] | None = None,
           told: Mapping[str, str] | None = None) -> tuple[Graph, Program, Project]:
    """`ranks`: how products are computed (see `kernels.choices`); `told`: what the library tells beside."""
    from dlcompile import codegen, transforms
    from dlcompile.kernels.schedule import schedule

    report = progress or (lambda what, done, total: None)
    with _depth_limited(model):
        graph = import_model(model, dict(options.dims))
        report("import", 0, 0)
        label = os.fspath(model) if isinstance(model, (str, os.PathLike)) else graph.name
        try:
            graph = transforms.optimize(graph, precision=options.precision)
            report("optimize", 0, 0)
            name = options.name or model_identifier(_stem(model) or graph.name)
            updates = _numbered(graph, options.updates)
            program = schedule(graph, options.target, precision=options.precision, name=name, ranks=ranks, updates=updates)
            structure = {"interface": json.dumps(graph.structure)} if graph.structure else {}
            told = {**(told or {}), **({"updates": json.dumps(list(updates.items()))} if updates else {})}
            program = replace(program, metadata={"precision": options.precision, **told, **structure, **program.metadata})
            report("schedule", 0, 0)
            return graph, program, codegen.generate(program, options.target)
        except InvalidModelError as error:
            raise type(error)(f"{label}: {error}") from error.__cause__


def _numbered(graph: Graph, updates: Sequence[tuple[str, str]]) -> dict[int, int]:
    """The outputs that are the next values of inputs, by number. ArgumentError for names that the graph does not have, and for pairs of different
    types or sizes that only a run knows."""
    found: dict[int, int] = {}
    for output, source in updates:
        for name, names, kind in ((output, graph.output_names, "output"), (source, graph.input_names, "input")):
            if name not in names:
                raise ArgumentError(f"{graph.name}: updates: no {kind} is called {name!r}; the {kind}s are {', '.join(names)}")
        pair = graph.output_names.index(output), graph.input_names.index(source)
        new, old = graph.outputs[pair[0]].type, graph.inputs[pair[1]].type
        if new != old or is_string(new.dtype):
            raise ArgumentError(f"{graph.name}: updates: {output} is {new} and cannot be the next value of {source}, which is {old}")
        if pair[0] in found or pair[1] in found.values():
            raise ArgumentError(f"{graph.name}: updates: {output} or {source} is in two pairs")
        found[pair[0]] = pair[1]
    return found


def _project(model: Model, options: Options, progress: Progress | None) -> Project:
    """The C project of a model, tuned where the options say so."""
    if options.tune is None:
        return _lower(model, options, progress)[2]
    from dlcompile.tuning import tuned

    ranks, said = tuned(lambda ranks: _lower(model, options, None, ranks)[1:], options.tune or None, progress)
    return _lower(model, options, progress, ranks, {"tuning": said})[2]


@contextlib.contextmanager
def _depth_limited(model: Model) -> Iterator[None]:
    """InvalidModelError for what is nested so deep (functions in functions, branches in branches) that Python gives up."""
    try:
        yield
    except RecursionError:
        label = os.fspath(model) if isinstance(model, (str, os.PathLike)) else "the model"
        raise InvalidModelError(f"{label}: functions, branches or expressions are nested too deep") from None


def import_model(model: Model, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of anything that `compile` takes, its symbolic dimensions named in `dims` pinned."""
    if isinstance(model, Graph):
        return pin_dims(model, dims) if dims else model
    from dlcompile.frontends.onnx import import_onnx

    return import_onnx(model, dims=dims or None)


def pin_dims(graph: Graph, dims: Mapping[str, int]) -> Graph:
    """The graph for given values of some of its symbolic dimensions. ArgumentError for one it does not have."""
    from dlcompile.transforms.pin import pin

    unknown = sorted(set(dims) - {s.name for s in graph.symbols})
    if unknown:
        names = ", ".join(s.name for s in graph.symbols) or "none"
        raise ArgumentError(f"{graph.name}: no dimension is called {', '.join(unknown)}; the symbolic ones are: {names}")
    return pin(graph, dims)


# -- through the cache ------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _library(model: Model, options: Options, cache: bool, progress: Progress | None) -> Iterator[Path]:
    """The file of the model's library, its header beside it, for as long as the context lasts: found in the cache, or made."""
    store = user_cache() if cache else None
    key = _key(model, options) if store else None
    with contextlib.ExitStack() as stack:
        path = None
        if store is not None and key is not None:
            path = _found(store, key) or _stored(store, key, model, options, progress)
        if path is None:
            path = _build(_project(model, options, progress), stack, progress)
        yield path


def _found(store: Cache, key: str) -> Path | None:
    """What the cache has, if it is whole."""
    path = store.find(key)
    if path is None:
        return None
    with contextlib.suppress(LibraryError):
        read_note(path)
        if path.with_suffix(".h").is_file():
            return path
    store.forget(key)  # damaged, or just removed to make room
    return None


def _stored(store: Cache, key: str, model: Model, options: Options, progress: Progress | None) -> Path | None:
    """The library put into the cache, by this process or by another that we waited for; None where the cache cannot be written."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(store.lock(key))
        except OSError:
            return None
        path = _found(store, key)
        if path is not None:
            return path
        project = _project(model, options, progress)
        try:
            path = _write_header(project, store.place(key, project.name))
            path = build(project, path, progress, objects=store.objects)
        except (OSError, ToolchainError) as error:
            store.forget(key)
            if isinstance(error, ToolchainError) and not isinstance(error.__cause__, OSError):
                raise
            return None
        store.trim(key)
        return path


def _build(project: Project, stack: contextlib.ExitStack, progress: Progress | None) -> Path:
    """The library in a directory that is gone when the stack is left. What is loaded of it stays, and `save` can still read it."""
    try:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="dlcompile-"))
        return build(project, _write_header(project, Path(directory, f"{project.name}.so")), progress)
    except OSError as error:
        raise ToolchainError(f"{project.name}: there is no room for temporary files: {error.strerror or error}") from error


def _write_header(project: Project, library: Path) -> Path:
    library.parent.mkdir(parents=True, exist_ok=True)
    library.with_suffix(".h").write_text(project.header, encoding="utf-8")
    return library


def _key(model: Model, options: Options) -> str | None:
    """What a compilation is stored under: a digest of everything that its result depends on. None for a model that has none."""
    kind, digest = _model_digest(model)
    if digest is None:
        return None
    name = options.name or _stem(model) or ""
    compiler = find_compiler(options.target)
    return digest_of(own_digest(), compiler.identity, " ".join(extra_flags()), _version("onnx"), _version("numpy"), kind, digest,
                     name, repr(options.target), options.precision, repr(options.dims), repr(options.tune), repr(options.updates))


def _model_digest(model: Model) -> tuple[str, str | None]:
    if isinstance(model, Graph):
        return "graph", graph_digest(model)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return "bytes", digest_of(bytes(model))
    if isinstance(model, (str, os.PathLike)):
        return "file", onnx_digest(model)
    if hasattr(model, "SerializeToString"):
        try:
            return "proto", digest_of(model.SerializeToString(deterministic=True))
        except Exception:  # protobuf cannot write more than 2 GiB, and says so in an exception of its own
            return "proto", None
    raise ArgumentError(f"a model is a path, the bytes of an ONNX file, an onnx.ModelProto or a Graph, not {type(model).__name__}")


def _stem(model: Model) -> str | None:
    return Path(model).stem if isinstance(model, (str, os.PathLike)) else None


def _version(package: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ""


__all__ = ["Model", "Options", "compile", "compile_library", "import_model", "lower", "pin_dims"]
