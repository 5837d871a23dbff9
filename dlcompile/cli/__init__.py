"""The command line: `dlcompile compile | run | verify | inspect | convert | doctor`."""
from dlcompile.cli.main import main

__all__ = ["main"]
