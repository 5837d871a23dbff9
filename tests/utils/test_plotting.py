"""Drawings of models: well formed, and with what they are asked to show."""
from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dlcompile import layers
from dlcompile.errors import ArgumentError
from dlcompile.layers import Dense, Input
from dlcompile.models import Model, Sequential
from dlcompile.utils import plot_model

SVG = "{http://www.w3.org/2000/svg}"


def model() -> Model:
    x = Input((8, 8, 3), name="image")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    z = layers.Add(name="sum")([layers.BatchNormalization(name="norm", trainable=False)(y), y])
    head = Sequential([Input((4,)), Dense(3, name="hidden"), Dense(2, activation="softmax", name="out")], name="head")
    return Model(x, head(layers.GlobalMaxPooling2D(name="pool")(z)) * 2.0, name="drawn & quartered")


def read(path: Path) -> tuple[ElementTree.Element, list[str]]:
    root = ElementTree.fromstring(path.read_text())
    return root, [element.text for element in root.iter(f"{SVG}text")]


def test_boxes_and_arrows(tmp_path: Path) -> None:
    path = plot_model(model(), tmp_path / "model.svg")
    root, texts = read(path)
    assert sorted(texts) == sorted(["InputLayer", "Conv2D", "BatchNormalization", "Add", "GlobalMaxPooling2D", "Sequential", "mul"])
    assert sum("marker-end" in p.attrib for p in root.iter(f"{SVG}path")) == 7
    assert root.find(f"{SVG}title").text == "drawn & quartered"


def test_what_is_shown(tmp_path: Path) -> None:
    _, texts = read(plot_model(model(), tmp_path / "model.svg", show_shapes=True, show_dtype=True, show_layer_names=True,
                               show_layer_activations=True, show_trainable=True))
    for text in ("conv (Conv2D)", "in:  float32 (None, 8, 8, 3)", "out: float32 (None, 8, 8, 4)", "activation: relu", "trainable: yes",
                 "trainable: no", "head (Sequential)"):
        assert text in texts, text
    assert texts.count("out: float32 (None, 2)") == 2 and texts.count("in:  float32 (None, 8, 8, 4)") == 3


def test_models_in_the_model(tmp_path: Path) -> None:
    root, texts = read(plot_model(model(), tmp_path / "model.svg", expand_nested=True, show_layer_names=True))
    assert {"head (Sequential)", "hidden (Dense)", "out (Dense)"} <= set(texts)
    assert sum("marker-end" in p.attrib for p in root.iter(f"{SVG}path")) == 9


def test_from_left_to_right(tmp_path: Path) -> None:
    down, across = (read(plot_model(model(), tmp_path / f"{way}.svg", rankdir=way))[0] for way in ("TB", "LR"))
    assert float(down.get("height")) > float(down.get("width")) and float(across.get("width")) > float(across.get("height"))
    large, _ = read(plot_model(model(), tmp_path / "large.svg", dpi=192))
    assert float(large.get("width")) == pytest.approx(2 * float(down.get("width")), abs=1)


def test_a_layer_that_follows_itself(tmp_path: Path) -> None:
    x = Input((4,))
    shared = Dense(4)
    _, texts = read(plot_model(Model(x, shared(layers.Activation("relu")(shared(x)))), tmp_path / "m.svg"))
    assert sorted(texts) == ["Activation", "Dense", "InputLayer"]


@pytest.mark.parametrize("dpi", [96, 150])
def test_pictures(tmp_path: Path, dpi: int) -> None:
    """The boxes, the heads and the texts are where the drawing has them."""
    image = pytest.importorskip("PIL.Image")
    how = {"expand_nested": True, "show_layer_names": True, "show_shapes": True, "dpi": dpi}
    drawn = model()
    root, _ = read(plot_model(drawn, tmp_path / "m.svg", **how))
    with image.open(plot_model(drawn, tmp_path / "m.png", **how)) as file:
        picture = file.convert("L")
    assert picture.width == pytest.approx(float(root.get("width")), abs=1) and picture.height == pytest.approx(float(root.get("height")), abs=1)

    def placed(element: ElementTree.Element, x: float = 0.0, y: float = 0.0):
        for child in element:
            if child.tag == f"{SVG}g":
                dx, dy = (float(n) for n in child.get("transform")[len("translate("):-1].split(","))
                yield from placed(child, x + dx, y + dy)
            elif child.tag == f"{SVG}rect":
                left, top, width, height = (float(child.get(n)) for n in ("x", "y", "width", "height"))
                yield child.get("class"), [round(n * dpi / 96) for n in (x + left, y + top, x + left + width, y + top + height)]

    boxes = list(placed(root))
    assert len(boxes) > 10 and picture.getpixel((1, 1)) == 255
    for kind, (left, top, right, bottom) in boxes:
        head = 0 if kind == "h" else round(26 * dpi / 96)  # which is a box of its own
        shades = picture.crop((left + 4, top + head + 4, right - 4, bottom - 4)).histogram()
        dark, light = sum(shades[:80]), sum(shades[200:])
        assert dark > light > 0 if kind == "h" else light > dark > 0, (kind, dark, light)


def test_a_picture_without_pillow(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ArgumentError, match=r"needs Pillow: pip install 'dlcompile\[plot\]'"):
        plot_model(model(), tmp_path / "m.png")
    assert not list(tmp_path.iterdir())


def test_errors(tmp_path: Path) -> None:
    for name in ("model", "model.pdf"):
        with pytest.raises(ArgumentError, match="a model is drawn as .svg, which any browser shows, or as .png"):
            plot_model(model(), tmp_path / name)
    with pytest.raises(ArgumentError, match="rankdir is 'TB' or 'LR'"):
        plot_model(model(), tmp_path / "m.svg", rankdir="BT")
    with pytest.raises(ArgumentError, match="no argument 'splines'"):
        plot_model(model(), tmp_path / "m.svg", splines="ortho")
    with pytest.raises(ArgumentError, match="functional and sequential models alone"):
        plot_model(Sequential([Dense(1)]), tmp_path / "m.svg")
