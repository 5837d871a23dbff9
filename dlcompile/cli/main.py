"""The group of commands, and what all of them have in common: help, errors as one message, exit codes.

0: success. 1: the command failed, or `verify` found a disagreement. 2: it was called in a way it cannot be called in.
"""
from __future__ import annotations

import importlib
import os
import sys

import click

from dlcompile.cli.console import print_error
from dlcompile.errors import Error
from dlcompile.version import VERSION

COMMANDS = {name: f"dlcompile.cli.{name}" for name in ("compile", "run", "verify", "inspect", "convert", "doctor")}
"""command → module with a click command `command`; imported when it is asked for, so that `run` on a library imports no front end"""


class Commands(click.Group):
    """Commands imported on first use; what dlcompile raises on purpose becomes a message and status 1."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return importlib.import_module(COMMANDS[name]).command if name in COMMANDS else None

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (Error, OSError, MemoryError) as error:
            if isinstance(error, BrokenPipeError):  # the reader of a pipe has had enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                context.exit(1)
            if context.params.get("traceback"):
                raise
            print_error(_words(error))
            context.exit(1)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="dlcompile")
@click.option("--traceback", is_flag=True, help="Show where in dlcompile an error was raised (for its developers).")
def main(traceback: bool) -> None:
    """Compiles a neural network to one shared library and one C header.

    \b
    dlcompile compile resnet50.onnx                 resnet50.so and resnet50.h
    dlcompile run resnet50.so --input random        run it, see what comes out and how long it takes
    dlcompile verify resnet50.onnx                  compare with NumPy and ONNX Runtime
    dlcompile inspect resnet50.onnx                 what it is made of, and what was fused into what

    `dlcompile COMMAND --help` tells more of each.
    """
