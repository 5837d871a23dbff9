"""Whole models in files."""
from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, InvalidModelError
from dlcompile.layers import Dense, Input, Layer
from dlcompile.models import Model, Sequential, load_model
from dlcompile.registry import register_keras_serializable
from tests.layers.helpers import normal

X = normal(5, 4)


def functional() -> Model:
    x = Input((4,), name="x")
    h = Dense(3, activation="relu")(x)
    return Model(x, [Dense(2, name="a")(h), Dense(1, name="b")(h * 2)], name="two")


@pytest.mark.parametrize("name", ["m.keras", "m.dlc", "model"])
def test_functional(tmp_path: Path, name: str) -> None:
    model = functional()
    model.save(tmp_path / name)
    copy = load_model(tmp_path / name)
    assert copy.name == "two" and copy.output_names == ["a", "b"]
    for a, b in zip(copy(X), model(X)):
        np.testing.assert_array_equal(a, b)
    first = (tmp_path / name).read_bytes()
    model.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == first  # the same model is the same file
    with pytest.raises(ArgumentError, match="exists already"):
        model.save(tmp_path / name, overwrite=False)


def test_sequential(tmp_path: Path) -> None:
    model = Sequential([Dense(3), layers.Dropout(0.5), Dense(2)])
    model.save(tmp_path / "unbuilt")
    assert not load_model(tmp_path / "unbuilt").built
    model(X)
    model.save(tmp_path / "built")
    np.testing.assert_array_equal(load_model(tmp_path / "built")(X), model(X))


@register_keras_serializable("tests")
class Doubling(Layer):
    def call(self, x):
        return x * 2


class Own(Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.one, self.two = Dense(width), Doubling()

    def call(self, x):
        return self.two(self.one(x))


def test_classes_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own"
    model = Own(3, name="mine")
    model(X)
    model.save(path)
    copy = load_model(path, custom_objects={"Own": Own})
    assert copy.built and copy.name == "mine"
    np.testing.assert_array_equal(copy(X), model(X))
    with pytest.raises(ArgumentError, match="nothing called 'Own'"):
        load_model(path)
    Sequential([Input((4,)), Doubling()]).save(path)
    np.testing.assert_array_equal(load_model(path)(X), 2 * X)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with pytest.raises(ArgumentError, match="a lambda has no name"):
        Sequential([Input((4,)), layers.Lambda(lambda x: x)]).save(path)
    functional().save(path)
    for told in ({"module": "os", "class_name": "system", "config": "true", "registered_name": "system"},
                 {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
                 {"module": "dlcompile.layers", "class_name": "OpsFunction", "config": {"name": "f", "function": "os.system"}}):
        config = json.loads(zipfile.ZipFile(path).read("config.json"))
        config["config"]["layers"][1] = {**told, "name": "f", "inbound_nodes": config["config"]["layers"][1]["inbound_nodes"]}
        rewritten(path, tmp_path / "bad", {"config.json": json.dumps(config)})
        with pytest.raises((ArgumentError, InvalidModelError)):
            load_model(tmp_path / "bad")


def rewritten(path: Path, to: Path, parts: dict, compression=zipfile.ZIP_STORED) -> None:
    """The file with other parts; None: without one."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", compression) as new:
        for name in old.namelist():
            if parts.get(name, "") is not None:
                new.writestr(name, parts.get(name, old.read(name)))
        for name in set(parts) - set(old.namelist()):
            new.writestr(name, parts[name])


def test_damaged_files(tmp_path: Path) -> None:
    path, bad = tmp_path / "m", tmp_path / "bad"
    functional().save(path)
    data = path.read_bytes()
    for broken in (data[:-30], data[:100], b"", b"PK", data.replace(b"dlcompile model", b"another  model!")):
        bad.write_bytes(broken)
        with pytest.raises(InvalidModelError):
            load_model(bad)
    for parts, what in (({"config.json": "{"}, "no JSON"), ({"config.json": "[" * 100_000}, "no JSON"),
                        ({"config.json": "3"}, "not an object"), ({"metadata.json": None}, "no JSON"),
                        ({"metadata.json": '{"form": "dlcompile model", "version": 99}'}, "version 99"),
                        ({"model.weights.h5": b"x"}, "written by Keras"), ({"weights.safetensors": b"x"}, "damaged"),
                        ({"config.json": json.dumps(layers.serialize(Dense(1)))}, "holds a Dense, no model")):
        rewritten(path, bad, parts)
        with pytest.raises(InvalidModelError, match=what):
            load_model(bad)
    rewritten(path, bad, {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidModelError, match="is compressed"):
        load_model(bad)
    flipped = bytearray(data)
    flipped[data.index(b"two")] ^= 1  # the archive's own sums tell
    bad.write_bytes(bytes(flipped))
    with pytest.raises(InvalidModelError, match="damaged"):
        load_model(bad)
    with pytest.raises(ArgumentError, match="cannot be read"):
        load_model(tmp_path / "nothing")
    with pytest.raises(ArgumentError, match="zipped=False"):
        functional().save(path, zipped=False)


def test_configurations_that_mean_nothing() -> None:
    text = functional().to_json()
    for told, other in (('"units": 3', '"units": 1000000000000'), ('"units": 3', '"units": [3]'), ('"inbound_nodes": [{', '"inbound_nodes": [3, {'),
                        ('"batch_shape": [null, 4]', '"batch_shape": 7'), ('"layers": [', '"layers": [null, ')):
        assert told in text
        with pytest.raises((InvalidModelError, ArgumentError)):
            models.model_from_json(text.replace(told, other, 1))


def test_json() -> None:
    model = functional()
    copy = models.model_from_json(model.to_json(indent=2))
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    with pytest.raises(InvalidModelError, match="no model"):
        models.model_from_json(json.dumps(layers.serialize(Dense(1))))
    with pytest.raises(InvalidModelError, match="no JSON"):
        models.model_from_json("not json")


def test_further_parts(tmp_path: Path) -> None:
    class Counting(Sequential):
        steps = 0

        def parts_to_save(self, include_optimizer=True):
            return {"steps.json": json.dumps(self.steps).encode()} if include_optimizer else {}

        def take_saved_parts(self, read, compile=True):
            self.steps = json.loads(read("steps.json") or b"-1")

    model = Counting([Input((4,)), Dense(1)])
    model.steps = 7
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m", {"Counting": Counting}).steps == 7
    model.save(tmp_path / "m", include_optimizer=False)
    assert load_model(tmp_path / "m", {"Counting": Counting}).steps == -1
