"""What kernel forms reach on this machine, beside what the machine was measured to do, and what Winograd's and Strassen's formulas gain.

    python benchmarks/kernels.py                      products and convolutions of well-known networks, on 1 thread
    python benchmarks/kernels.py --threads 2 --product 128,768,3072 --convolution 1,56,56,64,64

Each shape is compiled as it would be in a model (with a bias and a ReLU after it) and, under precision="strict", as the plain sum; the two run in
turns. Work is counted as the sum is defined, so that a share of the peak beyond 100 % is work that was not done.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import dlcompile as dlc
from dlcompile import ops
from dlcompile.graph import Graph, make_input
from dlcompile.toolchain.machine import measure_machine

RNG = np.random.default_rng(0)

PRODUCTS = ("128,768,768", "128,768,3072", "128,3072,768", "197,768,3072", "197,3072,768", "128,384,1536", "256,784,512", "256,512,512", "3136,64,256",
            "784,512,128", "196,1024,256", "49,2048,512", "1,768,768", "8,768,3072", "1000,1000,1000")
"""rows, terms, columns: of BERT, ViT, MiniLM, ResNet-50, dense layers"""
CONVOLUTIONS = ("1,56,56,64,64", "1,28,28,128,128", "1,14,14,256,256", "1,7,7,512,512", "1,256,256,32,32", "1,256,256,64,32", "1,128,128,64,64", "1,64,64,256,128",
                "8,56,56,64,64", "8,14,14,256,256", "8,7,7,512,512", "1,224,224,3,32")
"""batch, height, width, channels, filters of 3×3: of ResNets and a U-Net"""


def product(rows: int, terms: int, columns: int) -> tuple[Graph, int]:
    """A dense layer, and its floating-point operations."""
    x = make_input("x", np.float32, (rows, terms))
    y = ops.matmul(x, (RNG.standard_normal((terms, columns)) / np.sqrt(terms)).astype(np.float32))
    return _finished(x, y, columns), 2 * rows * terms * columns


def convolution(batch: int, height: int, width: int, channels: int, filters: int) -> tuple[Graph, int]:
    """A convolution of 3×3 padded to the size of its input, and its floating-point operations."""
    x = make_input("x", np.float32, (batch, height, width, channels))
    w = (RNG.standard_normal((3, 3, channels, filters)) / np.sqrt(9 * channels)).astype(np.float32)
    y = ops.conv_general(x, w, padding=((1, 1), (1, 1)), layout="channels_last")
    return _finished(x, y, filters), 2 * 9 * batch * height * width * channels * filters


def _finished(x, y, columns: int) -> Graph:
    return Graph("kernel", [x], [ops.maximum(ops.add(y, RNG.standard_normal(columns).astype(np.float32)), np.float32(0))], output_names=["y"])


def rows_of(kind: str, make: Callable[..., tuple[Graph, int]], shapes: tuple[str, ...], threads: int, seconds: float, peak: float) -> Iterator[list[str]]:
    for shape in shapes:
        graph, flops = make(*(int(n) for n in shape.split(",")))
        x = RNG.standard_normal(graph.inputs[0].shape).astype(np.float32)
        models = [dlc.compile(graph, threads=threads, cache=False, precision=precision) for precision in ("default", "strict")]
        times: list[list[float]] = [[], []]
        for _ in range(9):
            for model, own in zip(models, times):
                model(x)
                end = time.perf_counter() + seconds / 18
                while time.perf_counter() < end or len(own) < 3:
                    start = time.perf_counter()
                    model(x)
                    own.append(time.perf_counter() - start)
        default, strict = (float(np.median(own)) for own in times)
        a, b = models[0](x), models[1](x)
        form = max(models[0].profile(x, repeat=3), key=lambda p: p.seconds).call.form
        yield [kind, shape.replace(",", "×"), form, f"{default * 1e3:.3f}", f"{flops / default / 1e9:.0f}", f"{flops / default / peak:.0%}",
               f"{flops / strict / 1e9:.0f}", f"{flops / strict / peak:.0%}", f"{strict / default:.2f}", f"{np.abs(a - b).max() / np.abs(b).max():.1e}"]


HEADER = ("kind", "shape", "form", "ms", "GFLOP/s", "of peak", "strict GFLOP/s", "of peak", "gain", "error")


@click.command(context_settings={"show_default": True})
@click.option("--threads", type=click.IntRange(1), default=1)
@click.option("--product", "products", multiple=True, metavar="ROWS,TERMS,COLUMNS", help="Instead of those of well-known networks. Repeatable.")
@click.option("--convolution", "convolutions", multiple=True, metavar="BATCH,HEIGHT,WIDTH,CHANNELS,FILTERS", help="The same. Repeatable.")
@click.option("--seconds", type=click.FloatRange(0), default=1.0, help="For each shape.")
@click.option("--markdown", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here.")
def main(threads, products, convolutions, seconds, path) -> None:
    """Time products and 3×3 convolutions beside the peak that this machine was measured to have."""
    if not products and not convolutions:
        products, convolutions = PRODUCTS, CONVOLUTIONS
    machine = measure_machine(threads)
    console = Console(highlight=False, width=140)
    title = f"threads: {threads}, measured to do {machine.flops / 1e9:.0f} GFLOP/s in float32 and to read {machine.bytes / 1e9:.0f} GB/s"
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for index, column in enumerate(HEADER):
        table.add_column(column, justify="left" if index < 3 else "right")
    rows = []
    for kind, make, shapes in (("product", product, products), ("convolution", convolution, convolutions)):
        for row in rows_of(kind, make, shapes, threads, seconds, machine.flops):
            rows.append(row)
            table.add_row(*row)
    console.print(table)
    if path:
        lines = [list(HEADER), ["---"] * 3 + ["---:"] * (len(HEADER) - 3), *rows]
        path.write_text(f"{title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
