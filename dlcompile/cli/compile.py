"""`dlcompile compile`: a model to a library and a header, or to a C project."""
from __future__ import annotations

import time
from pathlib import Path

import click

from dlcompile.cli.console import compile_progress, duration, output, quantity
from dlcompile.cli.values import dims_option
from dlcompile.kernels.target import TARGETS, resolve_target, runs_here


def code_options(function):
    """The options that decide what code comes out: those of `dlcompile.compile`."""
    for option in reversed((
        click.option("--name", metavar="NAME", help="The prefix of every C symbol. By default the file's stem."),
        click.option("--target", type=click.Choice(["native", *TARGETS]), default="native", show_default=True,
                     help="The machine to compile for; native is the best that this one can run."),
        click.option("--precision", type=click.Choice(["default", "strict"]), default="default", show_default=True,
                     help="strict keeps every rounding where the model has it: no folded batch normalisation, no merged scales, no Winograd or Strassen."),
    )):
        function = option(function)
    return function


@click.command("compile", short_help="Compile an ONNX model to a shared library and a C header.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.so",
              help="Where to write the library; the header goes beside it. By default MODEL.so in the current directory.")
@code_options
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads to check the library with; a caller chooses its own.")
@dims_option("Compile for one value of a symbolic dimension, as in --dim batch=8. Repeatable.")
@click.option("--tune", is_flag=True, help="Measure how products are computed fastest here, with --threads, instead of trusting estimates. Takes minutes.")
@click.option("--no-cache", is_flag=True, help="Neither take the library from the cache nor keep it there.")
@click.option("--emit-c", "project_directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write the complete C project (sources, header, weights, Makefile) to DIR instead; -o compiles as well.")
def command(model: Path, path: Path | None, name: str | None, target: str, precision: str, threads: int | None, dims: dict[str, int],
            tune: bool, no_cache: bool, project_directory: Path | None) -> None:
    """Compile MODEL to a shared library and a C header.

    The library holds the weights and needs nothing beside it but libc, libm and the OpenMP runtime. Compiled libraries are cached, so that
    compiling the same model again only copies a file.

    \b
    Examples:
      dlcompile compile resnet50.onnx                               resnet50.so, resnet50.h
      dlcompile compile minilm.onnx -o build/embed.so --name embed
      dlcompile compile minilm.onnx --dim batch=1 --dim seq=128     for that shape alone
      dlcompile compile model.onnx --target x86-64-v3               for any CPU with AVX2
      dlcompile compile model.onnx --emit-c project/                C sources and a Makefile
    """
    import dlcompile

    console = output()
    if project_directory is not None:
        _, program, project = dlcompile.lower(model, name=name, target=target, precision=precision, dims=dims or None)
        project.write(project_directory)
        console.print(f"{project_directory}: {len(project.files)} files, {quantity(program.constant_bytes, 'B', 1024)} of weights; "
                      f"`make -C {project_directory}` builds {project.name}.so")
        if path is None:
            return
    path = path or Path(f"{model.stem}.so")
    start = time.perf_counter()
    options = {"name": name, "target": target, "precision": precision, "dims": dims or None, "cache": not no_cache}
    machine = resolve_target(target)
    with compile_progress(model.name) as progress:
        if runs_here(machine):
            compiled = dlcompile.compile(model, threads=threads, tune=tune, progress=progress, **options)
            compiled.save(path)
        else:
            compiled = None
            dlcompile.compile_library(model, path, progress=progress, **options)
    size = path.stat().st_size
    console.print(f"{path} ({quantity(size, 'B', 1024)}) and {path.with_suffix('.h').name} in {duration(time.perf_counter() - start)}, "
                  f"for {machine.name}", soft_wrap=True)
    if compiled and tune:
        console.print(f"  {compiled.info.metadata['tuning']}", markup=False, soft_wrap=True)
    console.print(f"  {compiled!r}" if compiled else "  this machine cannot run it", markup=False, soft_wrap=True)
