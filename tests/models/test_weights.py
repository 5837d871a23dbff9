"""Weights in files: their names, what is read, and what is refused."""
from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, InvalidModelError
from dlcompile.layers import Dense, Input
from dlcompile.models import Model, Sequential
from dlcompile.models.files import pack_tensors, unpack_tensors, write_whole
from dlcompile.models.weights import named_variables
from tests.layers.helpers import normal

X = normal(5, 4)


def model(width: int = 3, **kwargs) -> Sequential:
    return Sequential([Input((4,)), Dense(width, **kwargs), layers.Dropout(0.5), Dense(2)])


def test_names_do_not_depend_on_numbers() -> None:
    for _ in range(2):
        made = model()
        assert list(named_variables(made)) == ["dense/kernel", "dense/bias", "random/dropout/seed_generator_state", "dense_1/kernel",
                                               "dense_1/bias"]
    inner = Input((4,))
    nested = Sequential([Input((4,)), Model(inner, Dense(4)(inner), name="anything"), Dense(1)])
    assert list(named_variables(nested)) == ["model/dense/kernel", "model/dense/bias", "dense/kernel", "dense/bias"]


def test_names_of_attributes() -> None:
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.encoder = Sequential([Dense(3), Dense(3)])
            self.heads = {"a": Dense(1), "b": [Dense(2)]}
            self.again = self.heads["a"]

        def call(self, x):
            x = self.encoder(x)
            return self.heads["a"](x), self.heads["b"][0](x), self.again(x)

    own = Own()
    own(X)
    assert list(named_variables(own))[::2] == ["encoder/dense/kernel", "encoder/dense_1/kernel", "heads/a/kernel", "heads/b/0/kernel"]
    layer = layers.Layer()
    first, second = layer.add_weight(shape=(1,), name="same"), layer.add_weight(shape=(2,), name="same")
    assert named_variables(layer) == {"same": first, "same_1": second}


def test_written_and_read(tmp_path: Path) -> None:
    one, other = model(), model()
    for name in ("w.safetensors", "w.weights.h5"):
        one.save_weights(tmp_path / name)
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(one(X), other(X))
    np.testing.assert_array_equal(one(X, training=True), other(X, training=True))  # the next random numbers, too
    without = Sequential([Input((4,)), Dense(3), Dense(2)])
    without.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(without(X), one(X))
    one.save(tmp_path / "whole.keras")
    other.set_weights([w * 0 for w in other.get_weights()])
    other.load_weights(tmp_path / "whole.keras")
    np.testing.assert_array_equal(one(X), other(X))
    with pytest.raises(ArgumentError, match="exists already"):
        one.save_weights(tmp_path / "w.safetensors", overwrite=False)


def test_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model().save_weights(path)
    other = model(width=6)
    before = other.get_weights()
    with pytest.raises(InvalidModelError, match=r"dense/kernel has shape \(4, 3\) there and \(4, 6\) in the model; .*dense_1/kernel"):
        other.load_weights(path)
    for a, b in zip(before, other.get_weights()):
        np.testing.assert_array_equal(a, b)
    other.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
    deeper = Sequential([Input((4,)), Dense(3), Dense(2), Dense(1)])
    with pytest.raises(InvalidModelError, match="missing there: dense_2/kernel, dense_2/bias"):
        deeper.load_weights(path)
    flat = Sequential([Input((4,)), Dense(3)])
    with pytest.raises(InvalidModelError, match="not in the model: dense_1/bias, dense_1/kernel"):
        flat.load_weights(path)
    with pytest.raises(InvalidModelError, match="no weights yet"):
        Sequential([Dense(1)]).load_weights(path)
    with pytest.raises(InvalidModelError, match="no weights yet"):
        Sequential([Dense(1)]).save_weights(path)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    one = model()
    one.save_weights(path)
    data = path.read_bytes()
    header = struct.unpack("<Q", data[:8])[0]
    for bad, what in ((data[:-1], "damaged"), (data[:20], "damaged"), (b"", "damaged"), (data + b"x", "damaged"),
                      (b"\x89HDF\r\n\x1a\n" + data, "HDF5"), (data[:8] + b"[" * header + data[8 + header:], "damaged"),
                      (b"PK\x03\x04" + data, "no file of a model"), (struct.pack("<Q", 2**60) + data[8:], "damaged")):
        path.write_bytes(bad)
        with pytest.raises(InvalidModelError, match=what):
            one.load_weights(path)
    with pytest.raises(ArgumentError, match="cannot be read"):
        one.load_weights(tmp_path / "nothing")


def test_damaged_files_of_whole_models(tmp_path: Path) -> None:
    path, bad = tmp_path / "m.dlc", tmp_path / "bad.dlc"
    one = model()
    one.save(path)
    before = one.get_weights()
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(compression: int, names: list[str]) -> None:
        with zipfile.ZipFile(bad, "w", compression) as archive:
            for name in names:
                archive.writestr(name, parts[name])

    rewritten(zipfile.ZIP_DEFLATED, list(parts))  # a few bytes could be as many as there is memory
    with pytest.raises(InvalidModelError, match="is compressed"):
        one.load_weights(bad)
    rewritten(zipfile.ZIP_STORED, ["config.json"])
    with pytest.raises(InvalidModelError, match="no weights.safetensors in it"):
        one.load_weights(bad)
    data = bytearray(path.read_bytes())
    for place in (i for i in range(len(data)) if data[i:i + 4] == b"PK\x01\x02"):
        data[place + 8] |= 1  # says that the part is encrypted
    bad.write_bytes(bytes(data))
    with pytest.raises(InvalidModelError, match="is damaged"):
        one.load_weights(bad)
    for now, then in zip(one.get_weights(), before):
        np.testing.assert_array_equal(now, then)


def test_every_type_of_element() -> None:
    arrays = {t: np.arange(6).reshape(2, 3).T.astype(t) for t in (
        "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")}
    arrays.update(bfloat16=np.arange(3).astype(ml_dtypes.bfloat16), scalar=np.float32(2.5), empty=np.zeros((0, 3), np.float32))
    found = unpack_tensors(pack_tensors({k: np.asarray(v) for k, v in arrays.items()}), "there")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == np.shape(array)
        np.testing.assert_array_equal(found[name], array)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    write_whole(path, b"old")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ArgumentError, match="No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["w"]
    with pytest.raises(ArgumentError, match="cannot be written"):
        write_whole(path / "below", b"new")


def test_models_are_not_pickled_or_shared(tmp_path: Path) -> None:
    one = model()
    one.save_weights(tmp_path / "w")
    other = models.clone_model(one)
    other.load_weights(tmp_path / "w")
    other.layers[0].kernel.assign(np.zeros((4, 3)))
    assert one.layers[0].kernel.numpy().any()
