"""The declarations of csrc/dlc_model.h for cffi: the same that C programs get.

`setup.py` has cffi turn them into the module `_abi` (`make_builder` below), which loads at once. Where that has not been built they are
parsed when it is asked for.
"""
from __future__ import annotations

import re
from functools import cache

import cffi


def declarations(header: str) -> str:
    """The types of dlc_model.h, whose text is `header`, without what is the preprocessor's."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))


_LOADER = """
void *dlopen(const char *path, int flags);
void *dlsym(void *handle, const char *name);
char *dlerror(void);
"""


def make_builder(header: str) -> cffi.FFI:
    """The FFI that `_abi` is generated from; `header` is the text of dlc_model.h."""
    builder = cffi.FFI()
    builder.cdef(declarations(header) + _LOADER)
    builder.set_source("dlcompile.runtime._abi", None)
    return builder


@cache  # pointers of one FFI are not those of another
def load_ffi() -> cffi.FFI:
    """The generated module's FFI, or a new one."""
    try:
        from dlcompile.runtime._abi import ffi
    except ImportError:
        from dlcompile.codegen.csrc import csrc_text

        return make_builder(csrc_text("dlc_model.h"))
    return ffi
