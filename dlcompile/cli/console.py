"""What commands print with: results on standard output, progress and errors on standard error."""
from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

WIDTH_OF_PIPES = 160  # columns for tables that go to a file or a pipe, which have no width of their own


def output() -> Console:
    """Standard output; without colours and with room where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH_OF_PIPES)


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def print_error(message: str) -> None:
    errors().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


@contextlib.contextmanager
def compile_progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """The `progress` callback of `dlcompile.compile`: a bar on a terminal, nothing elsewhere."""
    console = errors()
    if not console.is_terminal:
        yield lambda step, done, total: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[step]}", style="dim"),
               TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"compiling {escape(what)}", total=None, step="")
        yield lambda step, done, total: progress.update(task, step=escape(step), completed=done, total=total or None)


class PlainTable(Table):
    """A table whose cells are shown as they are: types and names are full of brackets, which rich would take for styles."""

    def add_row(self, *cells, **options) -> None:
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> PlainTable:
    """A table; the columns named in `right` hold numbers. Without columns: two without a header."""
    result = PlainTable(title=Text(title), title_justify="left", title_style="bold", header_style="bold", show_edge=False, pad_edge=False,
                        show_header=bool(columns))
    columns = columns or ("", "")
    for column in columns:
        result.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return result


def quantity(value: float | None, unit: str, base: int = 1000) -> str:
    """A number with a prefix: 1.82 GFLOP, 44.6 MiB."""
    if value is None or value < 0:
        return "?"
    prefixes = ("", "K", "M", "G", "T", "P")
    power = min(int(math.log(value, base)), len(prefixes) - 1) if value >= 1 else 0
    scaled = value / base**power
    text = f"{scaled:.0f}" if power == 0 or scaled >= 100 else f"{scaled:.3g}"
    infix = "i" if base == 1024 and power else ""
    return f"{text} {prefixes[power]}{infix}{unit}"


def duration(seconds: float) -> str:
    """1.23 ms, 45.6 µs."""
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale or unit == "µs":
            return f"{seconds / scale:.3g} {unit}"
    return ""
