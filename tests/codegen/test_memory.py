"""The arena's plan: nothing overlaps, little is wasted, and C plans as Python does."""
import ctypes
import random
import subprocess

import pytest

from dlcompile.codegen.csrc import csrc_dir
from dlcompile.kernels.memory import plan_arena
from dlcompile.kernels.program import ALIGNMENT
from tests.programs import COMPILERS


def random_buffers(seed: int) -> tuple[list[int], list[tuple[int, int]]]:
    source = random.Random(seed)
    count = source.randint(0, 60)
    sizes = [source.choice([0, 1, 63, 64, 65, source.randint(1, 10_000), 4096]) for _ in range(count)]
    lifetimes = [(a, a + source.randint(0, 6)) for a in (source.randint(0, 40) for _ in range(count))]
    return sizes, lifetimes


def peak(sizes, lifetimes) -> int:
    """The most bytes alive at one call: no plan needs less."""
    return max((sum(-(-s // ALIGNMENT) * ALIGNMENT for s, (a, b) in zip(sizes, lifetimes) if a <= t <= b) for t in range(50)), default=0)


@pytest.mark.parametrize("seed", range(30))
def test_no_overlap_and_little_waste(seed):
    sizes, lifetimes = random_buffers(seed)
    offsets, total = plan_arena(sizes, lifetimes)
    for i, (offset, size, (first, last)) in enumerate(zip(offsets, sizes, lifetimes)):
        assert offset % ALIGNMENT == 0 and offset + size <= total
        for j in range(i):
            apart = lifetimes[j][1] < first or lifetimes[j][0] > last
            assert apart or size == 0 or sizes[j] == 0 or offsets[j] + sizes[j] <= offset or offset + size <= offsets[j]
    assert peak(sizes, lifetimes) <= total <= 1.5 * peak(sizes, lifetimes)


def test_a_chain_needs_its_two_largest_neighbours():
    sizes = [1024, 4096, 2048, 4096, 64]
    offsets, total = plan_arena(sizes, [(i, i + 1) for i in range(5)])
    assert total == 4096 + 2048 and offsets[1] == offsets[3] == 0


@pytest.fixture(scope="module")
def c_plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    (folder / "plan.c").write_text("""\
#include "dlc_plan.h"
int64_t plan(int32_t count, const dlc_buffer *buffers, const int64_t *sizes, int64_t *offsets, int32_t *order, int32_t *placed)
{
    return dlc_plan_arena(count, buffers, sizes, offsets, order, placed);
}
""")
    subprocess.run([COMPILERS[0], "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined",
                    "-fsanitize-undefined-trap-on-error", f"-I{csrc_dir()}", "-o",
                    str(folder / "plan.so"), str(folder / "plan.c")], check=True)
    library = ctypes.CDLL(str(folder / "plan.so"))
    library.plan.restype = ctypes.c_int64

    class Size(ctypes.Structure):
        _fields_ = [("constant", ctypes.c_int64), ("expression", ctypes.c_int32)]

    class CBuffer(ctypes.Structure):
        _fields_ = [("bytes", Size), ("first", ctypes.c_int32), ("last", ctypes.c_int32)]

    def run(sizes, lifetimes):
        count = len(sizes)
        buffers = (CBuffer * count)(*(CBuffer(Size(s, -1), *span) for s, span in zip(sizes, lifetimes)))
        offsets, numbers = (ctypes.c_int64 * count)(), [(ctypes.c_int32 * count)() for _ in range(2)]
        total = library.plan(count, buffers, (ctypes.c_int64 * count)(*sizes), offsets, *numbers)
        return tuple(offsets), total

    return run


@pytest.mark.parametrize("seed", range(30))
def test_c_plans_alike(c_plan, seed):
    assert c_plan(*random_buffers(seed)) == plan_arena(*random_buffers(seed))


def test_c_refuses_what_64_bits_cannot_count(c_plan):
    assert c_plan([2**62, 2**62], [(0, 1), (1, 2)])[1] == -1
    assert c_plan([2**63 - 1], [(0, 1)])[1] == -1
