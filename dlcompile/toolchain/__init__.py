"""From a C project to a shared library: the compiler, and building in parallel."""
from dlcompile.toolchain.build import Progress, build
from dlcompile.toolchain.compiler import Compiler, extra_flags, find_compiler

__all__ = ["Compiler", "Progress", "build", "extra_flags", "find_compiler"]
