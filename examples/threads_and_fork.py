"""One model called from many threads at once, and from a process forked off one that has called it.

    python examples/threads_and_fork.py
"""
from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from compile_and_call import small_model

import dlcompile as dlc


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        model = dlc.compile(small_model(Path(directory, "distance.onnx")))

    # calls release the GIL; the model keeps a context for each of those that overlap
    batches = [np.random.default_rng(i).random((1000 + i, 2)).astype(np.float32) for i in range(32)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(model, batches))
    print("8 threads agree with NumPy:", all(np.allclose(r, np.hypot(*b.T)) for r, b in zip(results, batches)))

    child = os.fork()
    if child == 0:
        same = np.array_equal(model(batches[0]), results[0])
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    print("the forked process agrees:", os.waitstatus_to_exitcode(status) == 0)


if __name__ == "__main__":
    main()
