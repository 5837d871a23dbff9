"""From a C project to a shared library: the compiler, building in parallel, and the cache of what has been built."""
from dlcompile.toolchain.build import Progress, build
from dlcompile.toolchain.cache import Cache, user_cache
from dlcompile.toolchain.compiler import Compiler, extra_flags, find_compiler

__all__ = ["Cache", "Compiler", "Progress", "build", "extra_flags", "find_compiler", "user_cache"]
