"""Compiled models as objects: loading and refusing to, saving, profiling, threads, forks."""
import errno
import gc
import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import dlcompile as dlc
from dlcompile.errors import ArgumentError, LibraryError
from dlcompile.runtime import load
from dlcompile.runtime import model as model_module

X = np.arange(15, dtype=np.float32).reshape(5, 3)
Y = X @ np.array([1, 2, 3], np.float32)


def test_what_a_model_tells(libraries):
    model = load(libraries["constrained"], threads=3)
    assert model.symbols == ("n", "m") and [p.name for p in model.inputs] == ["a", "b", "c"]
    assert [p.shape for p in model.inputs] == [("n",), ("2*m + 1",), ("max(m, n)",)]
    assert str(model.inputs[1]) == "float32[2*m + 1]" and model.threads == 3 and "constrained" in repr(model)
    assert model.info.calls[0].origin == ("Identity_0",) and model.info.version == dlc.__version__
    assert model.bind(*(np.zeros(n, np.float32) for n in (3, 5, 3))) == {"n": 3, "m": 2}
    assert load(libraries["weighted"]).arena_bytes(threads=2, batch=1000) == 12032
    with pytest.raises(ArgumentError, match="batch"):
        load(libraries["weighted"]).arena_bytes(rows=3)
    assert load(libraries["single"]).threads == 1


def test_run_by_name(libraries):
    assert list(load(libraries["weighted"]).run({"x": X})) == ["y"]
    results = load(libraries["constrained"]).run({n: np.zeros(k, np.float32) for n, k in zip("abc", (3, 5, 3))})
    assert [(k, v.shape) for k, v in results.items()] == [("a_out", (3,)), ("b_out", (5,)), ("c_out", (3,))]


def test_profile(libraries):
    first, second = load(libraries["weighted"], threads=2).profile(np.ones((100_000, 3), np.float32), repeat=2)
    assert first.call.origin == ("Mul_0",) and first.flops == 300_000 and second.flops == 200_000
    assert first.seconds > 0 and second.seconds > 0


def test_the_same_for_any_number_of_threads(libraries):
    x = np.random.default_rng(1).standard_normal((1003, 3)).astype(np.float32)
    results = [load(libraries["weighted"], threads=n)(x) for n in (1, 2, 3, 4)]
    assert all(np.array_equal(results[0], r) for r in results)
    with pytest.raises(ArgumentError, match="threads"):
        load(libraries["weighted"], threads=0)


# -- save and load ----------------------------------------------------------------------------------------------------------
def test_save_writes_library_and_header(libraries, tmp_path):
    load(libraries["weighted"]).save(tmp_path / "deep" / "m.so")
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["m.h", "m.so"]
    assert "int weighted_run(" in (tmp_path / "deep" / "m.h").read_text()
    np.testing.assert_array_equal(load(tmp_path / "deep" / "m.so")(X), Y)


def test_save_after_the_file_is_gone(libraries, tmp_path):
    shutil.copy(libraries["weighted"], tmp_path / "a.so")
    model = load(tmp_path / "a.so")
    (tmp_path / "a.so").unlink()
    model.save(tmp_path / "b.so")
    model.save(tmp_path / "b.so")
    np.testing.assert_array_equal(load(tmp_path / "b.so")(X), model(X))


def test_save_on_a_full_disk(libraries, tmp_path, monkeypatch):
    model = load(libraries["weighted"])
    model.save(tmp_path / "m.so")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(descriptor, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(model_module, "_copy", full)
    with pytest.raises(LibraryError, match="No space left"):
        model.save(tmp_path / "m.so")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(ArgumentError, match="header"):
        model.save(tmp_path / "m.h")


def changed(path, folder, old: bytes, new: bytes):
    data = path.read_bytes()
    assert old in data and len(old) == len(new)
    copy = folder / "changed.so"
    copy.write_bytes(data.replace(old, new))
    return copy


def test_what_is_no_model_is_refused_unopened(libraries, tmp_path):
    good = libraries["weighted"].read_bytes()
    files = {
        "missing.so": (None, "No such file"), "empty.so": (b"", "not a shared library"), "text.so": (b"text" * 100, "not a shared library"),
        "half.so": (good[: len(good) // 2], "truncated"), "head.so": (good[:4000], "truncated"), "directory.so": (None, "directory"),
    }
    (tmp_path / "directory.so").mkdir()
    for name, (data, words) in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(LibraryError, match=words) as error:
            load(tmp_path / name)
        assert name in str(error.value)
    other = next(p for p in (sys.executable, np._core._multiarray_umath.__file__) if p.endswith(".so"))
    with pytest.raises(LibraryError, match="not a model compiled by dlcompile"):
        load(other)


def test_other_formats_and_cpus_are_refused(libraries, tmp_path):
    with pytest.raises(LibraryError, match="format 7; this is dlcompile .* loads format 2"):
        load(changed(libraries["weighted"], tmp_path, b"format=2\n", b"format=7\n"))
    note = subprocess.run(["strings", str(libraries["weighted"])], capture_output=True, text=True).stdout
    features = next(line for line in note.splitlines() if line.startswith("features="))
    with pytest.raises(LibraryError, match="this CPU lacks telepath"):
        load(changed(libraries["weighted"], tmp_path, features.encode(), b"features=telepathy".ljust(len(features))))


def test_loading_imports_no_front_end(libraries):
    code = f"""
import sys, numpy as np, dlcompile as dlc
model = dlc.load({str(libraries["weighted"])!r})
assert model(np.ones((2, 3), np.float32)).tolist() == [6, 6]
loaded = [m for m in ("onnx", "dlcompile.frontends.onnx", "dlcompile.transforms", "dlcompile.operators", "pycparser") if m in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_models_come_and_go(libraries):
    """Loading, running and dropping leaves no descriptor open and no library mapped, even when the last reference is in a cycle."""
    pytest.importorskip("dlcompile.runtime._call", reason="the plain call path keeps libraries open")

    def use():
        model = load(libraries["weighted"], threads=2)
        model.itself = model
        model(X)

    use()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        use()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    with open("/proc/self/maps") as maps:
        assert str(libraries["weighted"]) not in maps.read()


def test_exit_with_models_alive(libraries):
    """Whatever order the interpreter takes things apart in."""
    code = f"""
import numpy as np
from dlcompile.runtime import load
models = [load({str(libraries["weighted"])!r}, threads=2) for _ in range(3)]
cycle = [models]; cycle.append(cycle); models[0].cycle = cycle
for m in models: m(np.ones((3, 3), np.float32))
"""
    subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], check=True)


# -- threads and forks ------------------------------------------------------------------------------------------------------
def test_many_threads_at_once(load_model):
    """8 threads call one model with sizes of their own; each gets its own answer."""
    model = load_model("weighted", 2)
    failures = []

    def work(seed):
        source = np.random.default_rng(seed)
        for _ in range(50):
            x = source.integers(-99, 99, (int(source.integers(0, 200)), 3)).astype(np.float32)
            if not np.array_equal(model(x), x @ np.array([1, 2, 3], np.float32)):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and not any(t.is_alive() for t in threads)


def test_the_gil_is_released(load_model):
    """Another thread makes progress while a model runs."""
    model = load_model("weighted", 1)
    x, out = np.ones((8_000_000, 3), np.float32), np.empty(8_000_000, np.float32)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for _ in range(20):  # a loaded machine may give the other thread no time in one run
            start = time.monotonic()
            model(x, out=out)
            end = time.monotonic()
            if sum(start < t < end for t in ticks) >= 3:
                break
        else:
            pytest.fail("no other thread ran while the model did")
    finally:
        stop.set()
        thread.join()


def in_child(work) -> None:
    """Run `work` in a fork; it must end well, and soon."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0
            return
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks(load_model, libraries):
    """A model that has run runs in a child, in a child's child, in a child's threads; so does one that the child loads."""
    model = load_model("weighted", 2)
    model(X)

    def run():
        for _ in range(3):
            np.testing.assert_array_equal(model(X), Y)
        np.testing.assert_array_equal(load(libraries["fixed"], threads=2)(X), Y)
        threads = [threading.Thread(target=model, args=(X,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    in_child(run)
    in_child(lambda: (run(), in_child(run)))
    run()
