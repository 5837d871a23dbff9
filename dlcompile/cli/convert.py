"""`dlcompile convert`: ONNX to ONNX, through the graph."""
from __future__ import annotations

from pathlib import Path

import click

from dlcompile.cli.console import output, quantity
from dlcompile.cli.values import dims_option


@click.command("convert", short_help="Write an ONNX model again: optimised, with dimensions pinned, for another opset.")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--optimize", is_flag=True, help="Apply the transforms: folding, fusion of normalisations, layout, attention.")
@click.option("--precision", type=click.Choice(["default", "strict"]), default="default", show_default=True,
              help="With --optimize: strict leaves out what moves a rounding.")
@click.option("--opset", type=int, help="The operator set to write; 18 or newer.")
@click.option("--external-data", is_flag=True, help="Put the weights into a file beside TARGET, TARGET.data.")
@dims_option("Give a symbolic dimension one value, as in --dim batch=8. Repeatable.")
def command(source: Path, target: Path, optimize: bool, precision: str, opset: int | None, external_data: bool, dims: dict[str, int]) -> None:
    """Read the ONNX model SOURCE and write it to TARGET.

    \b
    Examples:
      dlcompile convert model.onnx small.onnx --optimize
      dlcompile convert model.onnx fixed.onnx --dim batch=1 --dim seq=128
    """
    from dlcompile.frontends.onnx import export_onnx, import_onnx

    graph = import_onnx(source, dims=dims or None)
    before = len(graph.nodes)
    if optimize:
        from dlcompile.transforms import optimize as optimize_graph

        graph = optimize_graph(graph, precision=precision)
    options = {"opset": opset} if opset is not None else {}
    model = export_onnx(graph, target, external_data=external_data or None, **options)
    output().print(f"{target}: {len(model.graph.node)} ONNX nodes; the graph had {before} nodes"
                   + (f", {len(graph.nodes)} once optimised" if optimize else "")
                   + f"; {quantity(sum(t.value.nbytes for t in graph.constants), 'B', 1024)} of constants", soft_wrap=True)
