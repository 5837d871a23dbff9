"""The table of a model's layers."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError
from dlcompile.layers import Dense, Input
from dlcompile.models import Model, Sequential


def text(model, **arguments) -> str:
    found = []
    model.summary(print_fn=found.append, **arguments)
    assert len(found) == 1
    return found[0]


def rows(table: str) -> list[list[str]]:
    """The cells of each row; those of a row that goes over several lines together."""
    made, cells = [], None
    for line in table.splitlines():
        if line.startswith(("├", "┡", "└")):
            made.append(cells)
            cells = None
        elif line.startswith(("│", "┃")):
            found = [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
            cells = found if cells is None else [f"{a} {b}".strip() for a, b in zip(cells, found)]
    return made


def test_sequential() -> None:
    model = Sequential([Input((4, 4)), layers.Flatten(name="flat"), Dense(10, name="hidden"), layers.Dropout(0.5, name="drop"),
                        Dense(2, name="a_name_that_is_longer_than_its_column_is_wide")], name="chain")
    table = text(model, line_length=75)
    assert table.startswith('Model: "chain"\n┏')
    found = rows(table)
    assert found.pop()[0].replace(" ", "") == "a_name_that_is_longer_than_its_column_is_wide(Dense)"
    assert found == [["Layer (type)", "Output Shape", "Param #"], ["flat (Flatten)", "(None, 16)", "0"],
                           ["hidden (Dense)", "(None, 10)", "170"], ["drop (Dropout)", "(None, 10)", "0"]]
    assert table.endswith(" Total params: 192 (768.00 B)\n Trainable params: 192 (768.00 B)\n Non-trainable params: 0 (0.00 B)\n")
    assert max(map(len, table.splitlines())) == 75


def test_what_is_connected_to_what() -> None:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = Dense(3, name="shared")
    model = Model([a, b], [Dense(1, name="end")(shared(a) + shared(b)), a * 2], name="graph")
    assert rows(text(model, line_length=100)) == [
        ["Layer (type)", "Output Shape", "Param #", "Connected to"], ["a (InputLayer)", "(None, 4)", "0", "-"], ["b (InputLayer)",
                                                                                                                 "(None, 4)", "0", "-"],
        ["shared (Dense)", "(None, 3)", "15", "a[0][0], b[0][0]"],
        [model._network.operations[3].name + " (Add)", "(None, 3)", "0", "shared[0][0], shared[1][0]"], ["end (Dense)", "(None, 1)", "4",
                                                                                                        f"{model._network.operations[3].name}[0][0]"],
        [model._network.operations[5].name + " (Mul)", "(None, 4)", "0", "a[0][0]"]]


def test_nested_and_trainable() -> None:
    inner = Sequential([Input((4,)), Dense(3, name="one"), Dense(2, name="two")], name="inner")
    inner.layers[0].trainable = False
    x = Input((4,), name="x")
    model = Model(x, Dense(1, name="end")(inner(x)), name="outer")
    found = rows(text(model, line_length=120, expand_nested=True, show_trainable=True))
    assert found[0] == ["Layer (type)", "Output Shape", "Param #", "Trainable"]
    assert found[1:] == [["x (InputLayer)", "(None, 4)", "0", "-"], ["inner (Sequential)", "(None, 2)", "23", "Y"],
                         ["└ one (Dense)", "(None, 3)", "15", "N"], ["└ two (Dense)", "(None, 2)", "8", "Y"],
                         ["end (Dense)", "(None, 1)", "3", "Y"]]
    totals = text(model)
    assert "Total params: 26 (104.00 B)" in totals and "Trainable params: 11 (44.00 B)" in totals and "Non-trainable params: 15 (60.00 B)" in totals


def test_what_is_not_known_yet() -> None:
    model = Sequential([Dense(3, name="one"), layers.Flatten(name="flat")])
    assert rows(text(model))[1:] == [["one (Dense)", "?", "0 (unbuilt)"], ["flat (Flatten)", "?", "0"]]


def test_a_class_of_ones_own() -> None:
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = Dense(3, name="one"), Dense(2, name="two")

        def call(self, x):
            return self.two(self.one(x))

    model = Own()
    assert rows(text(model))[1:] == [["one (Dense)", "?", "0 (unbuilt)"], ["two (Dense)", "?", "0 (unbuilt)"]]
    model(np.ones((5, 4), np.float32))
    assert rows(text(model))[1:] == [["one (Dense)", "(5, 3)", "15"], ["two (Dense)", "(5, 2)", "8"]]


def test_part_of_a_model(capsys) -> None:
    model = Sequential([Input((4,)), *(Dense(2, name=f"layer{i}") for i in range(5))])
    assert [row[0] for row in rows(text(model, layer_range=("layer1", "layer[23]")))[1:]] == ["layer1 (Dense)", "layer2 (Dense)",
                                                                                              "layer3 (Dense)"]
    with pytest.raises(ArgumentError, match="no layer's name is 'nothing'"):
        model.summary(layer_range=("nothing", "layer1"))
    with pytest.raises(ArgumentError, match="two names"):
        model.summary(layer_range="layer1")
    with pytest.raises(ArgumentError, match="does not fit into 10 characters"):
        model.summary(line_length=10)
    assert model.summary(line_length=60) is None
    assert "layer4 (Dense)" in capsys.readouterr().out


def test_large_numbers() -> None:
    model = Sequential([Input((1000,)), Dense(2000, name="large")])
    table = text(model)
    assert rows(table)[1] == ["large (Dense)", "(None, 2000)", "2,002,000"] and "Total params: 2,002,000 (7.64 MB)" in table


def test_several_outputs() -> None:
    x = Input((4,))
    model = Sequential([Dense(2)])
    model = Model(x, list(layers.Lambda(lambda t: (t, [t.sum(axis=1)]), name="many")(x)))
    assert ["many (Lambda)", "((None, 4), [(None,)])", "0"] == rows(text(model, line_length=110))[-1][:3]
    assert models.Model is Model
