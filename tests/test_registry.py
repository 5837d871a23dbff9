"""Names and configurations: what they mean, a user's own objects, and files that name what they must not."""
from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from dlcompile import registry
from dlcompile.errors import ArgumentError
from dlcompile.registry import Family, custom_object_scope, deserialize, register_keras_serializable, serialize


class Shift:
    """y = x + amount"""

    def __init__(self, amount=1.0, inner=None):
        self.amount, self.inner = amount, inner

    def __call__(self, x):
        return x + self.amount

    def get_config(self):
        return {"amount": self.amount, "inner": self.inner}

    @classmethod
    def from_config(cls, config):
        return cls(config["amount"], deserialize(config["inner"]))


def double(x):
    return 2 * x


@pytest.fixture
def family(monkeypatch):
    monkeypatch.setattr(registry, "FAMILIES", {})
    monkeypatch.setattr(registry, "KINDS", {"activations": "activation"})
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_names", {})
    made = Family("activations")
    made.add(Shift, double, snake=True, twice=double)
    return made


def test_what_an_identifier_means(family):
    assert family.get(None) is None
    assert family.get("double") is family.get("twice") is family.get(double) is double
    for identifier in ("Shift", "shift", Shift):
        assert isinstance(family.get(identifier), Shift)
    own = Shift(3)
    assert family.get(own) is own
    assert family.get({"class_name": "Shift", "config": {"amount": 4, "inner": None}}).amount == 4


def test_a_name_that_is_none_is_told_what_it_is_like(family):
    with pytest.raises(ArgumentError, match="no activation 'dobule'; did you mean double?"):
        family.get("dobule")
    with pytest.raises(ArgumentError, match="no activation 'q'; there are double, Shift$"):
        family.get("q")
    with pytest.raises(ArgumentError, match="not int 5"):
        family.get(5)


def test_case_matters_where_it_does(family):
    with pytest.raises(ArgumentError, match="did you mean Shift or shift"):
        family.get("SHIFT")
    family.any_case = True
    assert isinstance(family.get("SHIFT"), Shift)


def test_there_and_back_through_json(family):
    config = json.loads(json.dumps(serialize({"a": [Shift(2, Shift(5)), double], "b": (np.float32(1.5), np.arange(3, dtype=np.int8), np.dtype("f8"))})))
    assert config["a"][0] == {"module": "dlcompile.activations", "class_name": "Shift", "registered_name": None, "config": {
        "amount": 2, "inner": {"module": "dlcompile.activations", "class_name": "Shift", "registered_name": None, "config": {"amount": 5, "inner": None}}}}
    found = deserialize(config)
    assert (found["a"][0].amount, found["a"][0].inner.amount) == (2, 5)
    assert found["a"][1] is double
    assert found["b"][0] == 1.5 and found["b"][2] == "float64"
    assert found["b"][1].dtype == np.int8 and found["b"][1].tolist() == [0, 1, 2]


def test_the_form_that_keras_writes_is_read(family):
    assert family.deserialize({"module": "keras.activations", "class_name": "Shift", "config": {"amount": 2, "inner": None},
                               "registered_name": None}).amount == 2
    assert deserialize({"module": "builtins", "class_name": "function", "config": "double", "registered_name": "double"}) is double


def test_objects_of_a_users_own(family):
    @register_keras_serializable("mine", "Other")
    class Own(Shift):
        pass

    config = serialize(Own(7))
    assert (config["class_name"], config["registered_name"], config["module"]) == ("Own", "mine>Other", None)
    assert type(deserialize(config)) is Own and type(family.get("mine>Other")) is Own
    assert registry.get_registered_name(Own) == "mine>Other" and registry.get_registered_object("mine>Other") is Own


def test_an_object_that_is_not_registered_is_handed_over(family):
    class Own(Shift):
        pass

    config = serialize(Own(7))
    with pytest.raises(ArgumentError, match="custom_objects={'Own': …}"):
        deserialize(config)
    assert type(deserialize(config, {"Own": Own})) is Own
    with custom_object_scope({"Own": Own}):
        assert type(deserialize(config)) is Own
    with pytest.raises(ArgumentError):
        deserialize(config)
    assert type(deserialize(serialize(Own(7, Own(8))), {"Own": Own}).inner) is Own  # within a configuration too


def test_a_users_object_goes_before_one_of_the_same_name(family):
    def mine(x):
        return x

    with custom_object_scope({"double": mine}):
        assert family.get("double") is mine
    registry.get_custom_objects()["double"] = mine
    assert family.get("double") is mine


def test_what_cannot_be_written(family):
    with pytest.raises(ArgumentError, match="a lambda has no name"):
        serialize(lambda x: x)
    with pytest.raises(ArgumentError, match="object has no get_config"):
        serialize(object())
    with pytest.raises(ArgumentError, match="has no get_config"):
        register_keras_serializable()(type("Plain", (), {}))


@pytest.mark.parametrize("config", [
    {"module": "os", "class_name": "system", "config": "true"}, {"module": "os", "class_name": "function", "config": "system"},
    {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"},
    {"module": "dlcompile.runtime", "class_name": "CompiledModel", "config": {}}, {"class_name": "eval", "config": {}},
    {"module": "keras.activations", "class_name": "__lambda__", "config": {"value": "4wEAAA=="}},
    {"module": 5, "class_name": "Shift", "config": {}}, {"class_name": ["Shift"], "config": {}}])
def test_a_file_cannot_name_what_is_in_no_table(family, config):
    with pytest.raises(ArgumentError):
        deserialize(config)


def test_a_file_imports_nothing(family):
    before = set(sys.modules)
    with pytest.raises(ArgumentError):
        deserialize({"module": "antigravity", "class_name": "Thing", "config": {}, "registered_name": "Thing"})
    assert set(sys.modules) == before


def test_a_configuration_that_a_class_cannot_take(family):
    class Narrow:
        def get_config(self):
            return {}

    with pytest.raises(ArgumentError, match="Narrow cannot be made with"):
        deserialize({"class_name": "Narrow", "config": {"width": 3}}, {"Narrow": Narrow})
    with pytest.raises(ArgumentError, match="keys 'class_name' and 'config', not 'name'"):
        family.get({"name": "Shift"})
