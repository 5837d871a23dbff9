"""The C project of a model: its files as text, and how they come to stand in a directory."""
from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcompile.codegen.csrc import csrc_dir, included
from dlcompile.codegen.header import header_text
from dlcompile.codegen.interface import interface
from dlcompile.codegen.kernels import printed
from dlcompile.codegen.library import library_source
from dlcompile.codegen.units import distinct_kernels, kernels_header, kernels_source, split_kernels
from dlcompile.kernels.program import ALIGNMENT, Program
from dlcompile.kernels.target import Target
from dlcompile.version import VERSION

LANGUAGE_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
                  "-fopenmp-simd")
"""what the code is written for: NaN and infinity keep their meaning, a product and a sum may be one rounding"""

LINK_FLAGS = ("-shared", "-Wl,-z,relro", "-Wl,-z,noexecstack", "-Wl,--as-needed")
LIBRARIES = ("-lgomp", "-lm", "-lpthread")

LARGE_WEIGHTS = 1 << 30
"""bytes from which weights go to a section that code does not have to be near to (the small code model reaches 2 GiB)"""


@dataclass(frozen=True)
class Project:
    """The sources of a model's library.

    files:     file name → text: NAME.h, NAME.c, the kernels' translation units, NAME_weights.S where there are weights.
    constants: what the weights file NAME.weights holds, each at the next multiple of ALIGNMENT.
    threaded:  whether a run may use more than one thread.
    parts:     models that this library consists of; their files are among `files`, their weights are files of their own.
    """

    name: str
    target: Target
    files: dict[str, str]
    constants: tuple[np.ndarray, ...]
    threaded: bool = True
    parts: tuple[Project, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The files to compile, those that take longest first."""
        sources = [f for f in self.files if f.endswith((".c", ".S"))]
        return tuple(sorted(sources, key=lambda f: -len(self.files[f]) if "_kernels" in f else 0))

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler options the code needs, without the include path."""
        return (*LANGUAGE_FLAGS, *self.target.flags)

    @property
    def header(self) -> str:
        """The text of NAME.h."""
        return self.files[f"{self.name}.h"]

    def write_sources(self, directory: Path) -> None:
        """Write the files and the weights into an existing directory."""
        for name, text in self.files.items():
            (directory / name).write_text(text, encoding="utf-8")
        for project in self._with_weights:
            with open(directory / f"{project.name}.weights", "wb") as file:
                write_constants(project.constants, file)

    @property
    def _with_weights(self) -> list[Project]:
        return [project for project in (self, *self.parts) if project.constants]

    def write(self, directory: str | os.PathLike) -> Path:
        """Write the complete project: sources, weights, the headers they need, a Makefile that asks for nothing but make and a C compiler.

        Everything is written beside its place first: a full disk leaves what was there before. OSError as the system raises it.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dlcompile-", dir=directory) as temporary:
            stage = Path(temporary)
            self.write_sources(stage)
            (stage / "csrc").mkdir()
            for name, text in included(self.files.values()).items():
                (stage / "csrc" / name).write_text(text, encoding="utf-8")
            (stage / "Makefile").write_text(self.makefile(), encoding="utf-8")
            (directory / "csrc").mkdir(exist_ok=True)
            for path in sorted(p for p in stage.rglob("*") if p.is_file()):
                os.replace(path, directory / path.relative_to(stage))
        return directory

    def makefile(self) -> str:
        """The Makefile of the written project."""
        objects = " ".join(f"{Path(source).stem}.o" for source in self.sources)
        weights = "".join(f"\n{project.name}_weights.o: {project.name}.weights\n" for project in self._with_weights)
        return f"""\
# {self.name}: `make` builds {self.name}.so, `make {self.name}.a` the same for linking into a program. Written by dlcompile {VERSION}.
CC ?= cc
CFLAGS ?=
DLC_CFLAGS = {" ".join(self.flags)} -Icsrc -I.
OBJECTS = {objects}

{self.name}.so: $(OBJECTS)
\t$(CC) {" ".join(LINK_FLAGS)} $(CFLAGS) -o $@ $(OBJECTS) {" ".join(LIBRARIES)}

{self.name}.a: $(OBJECTS)
\trm -f $@
\t$(AR) rcs $@ $(OBJECTS)

%.o: %.c $(wildcard *.h csrc/*.h)
\t$(CC) $(DLC_CFLAGS) $(CFLAGS) -c -o $@ $<

%.o: %.S
\t$(CC) -c -o $@ $<
{weights}
clean:
\trm -f $(OBJECTS) {self.name}.so {self.name}.a

.PHONY: clean
"""


def generate(program: Program, target: Target, part: bool = False) -> Project:
    """The C project that computes `program` on `target`. part: of another library, which shows none of its functions."""
    program = printed(program)
    names = interface(program)
    name = names.name
    header = header_text(program, names, target)
    units = split_kernels(distinct_kernels(program))
    files = {f"{name}.h": header, f"{name}_kernels.h": kernels_header(program, names)}
    for number, kernels in enumerate(units, 1):
        files[f"{name}_kernels_{number}.c"] = kernels_source(program, names, kernels, number, len(units))
    files[f"{name}.c"] = library_source(program, names, target, header, part)
    if program.constants:
        files[f"{name}_weights.S"] = weights_source(name, program.constant_bytes, target)
    return Project(name, target, files, program.constants, program.threads != 1)


def runtime_source(threaded: bool) -> str:
    """The translation unit of the runtime apart from any model; a model's NAME.c goes with it where RUNTIME_APART is among its flags."""
    return f"""\
#define _GNU_SOURCE
#define DLC_THREADED {int(threaded)}
#define DLC_RUNTIME_UNIT
#include "dlc_runtime.h"
"""


RUNTIME_APART = "-DDLC_RUNTIME_APART"


def weights_source(name: str, nbytes: int, target: Target) -> str:
    """NAME_weights.S: the weights file as a read-only section, which is mapped when the library is loaded and never copied.

    The code takes their address from a pointer that the dynamic linker fills in, so that they may lie any distance away.
    """
    large = nbytes >= LARGE_WEIGHTS and target.name != "aarch64"
    section = ".lrodata" if large else ".rodata"
    return f"""\
/* The weights of {name}: {nbytes} bytes of {name}.weights. */
    .section {section},"a",%progbits
    .p2align 12
    .hidden {name}_weights
    .globl {name}_weights
    .type {name}_weights, %object
{name}_weights:
    .incbin "{name}.weights"
    .size {name}_weights, {nbytes}

    .section .data.rel.ro,"aw",%progbits
    .p2align 3
    .hidden {name}_weights_address
    .globl {name}_weights_address
    .type {name}_weights_address, %object
{name}_weights_address:
    .8byte {name}_weights
    .size {name}_weights_address, 8

    .section .note.GNU-stack,"",%progbits
"""


def write_constants(constants: tuple[np.ndarray, ...], file) -> None:
    """Write the weights: each constant at the next multiple of ALIGNMENT, little-endian."""
    position = 0
    for array in constants:
        padding = -position % ALIGNMENT
        file.write(b"\0" * padding)
        array = np.ascontiguousarray(array)
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        if array.size:
            file.write(array.reshape(-1).view(np.uint8).data)
        position += padding + array.nbytes


__all__ = ["LANGUAGE_FLAGS", "LIBRARIES", "LINK_FLAGS", "Project", "csrc_dir", "generate", "write_constants"]
