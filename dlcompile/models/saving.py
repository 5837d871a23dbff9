"""A whole model in one file: a zip archive, in which nothing is compressed and nothing can be executed.

    metadata.json            what wrote the file, and the version of the form
    config.json              the configuration of the model (`registry.serialize`), and the shapes it was built with
    weights.safetensors      see `models.weights`

A model may add parts (`Model.parts_to_save`), such as the state of its optimizer.
"""
from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from dlcompile.errors import ArgumentError, Error, InvalidModelError
from dlcompile.models.files import read_archive, read_whole, write_whole
from dlcompile.models.model import Model
from dlcompile.models.weights import WEIGHTS, pack_weights, unpack_weights
from dlcompile.registry import custom_object_scope, deserialize, serialize
from dlcompile.version import VERSION

METADATA, CONFIG = "metadata.json", "config.json"
FORM, FORM_VERSION = "dlcompile model", 1
_DATE = (1980, 1, 1, 0, 0, 0)  # of all parts, so that the same model is the same file


def save_model(model: Model, filepath: str | os.PathLike, overwrite: bool = True, zipped: bool | None = None, include_optimizer: bool = True) -> None:
    """Write a model to a file, whatever its name is. ArgumentError for a layer or function that a file cannot name."""
    if zipped is False:
        raise ArgumentError("a model is written to one file; zipped=False, a directory, is not supported")
    config = {**serialize(model), "build_config": model.get_build_config()}
    parts = {METADATA: _json({"form": FORM, "version": FORM_VERSION, "dlcompile": VERSION}), CONFIG: _json(config)}
    if model.built:
        parts[WEIGHTS] = pack_weights(model)
    parts.update(model.parts_to_save(include_optimizer))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    write_whole(filepath, buffer.getvalue(), overwrite)


def load_model(filepath: str | os.PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True,  # noqa: A002
               safe_mode: bool = True) -> Any:
    """The model of a file that `save_model` has written.

    custom_objects: {name: class or function} of what is not dlcompile's own and not registered. compile: whether it is compiled for
    training as it was when it was saved. `safe_mode` is there for scripts that give it: no file can bring code along. InvalidModelError for
    a file that is damaged or no model, ArgumentError for a name in it that means nothing.
    """
    read = _reader(read_whole(filepath), str(filepath))
    config = _parsed(read(CONFIG), f"{filepath}: {CONFIG}")
    with custom_object_scope(custom_objects or {}):
        model = _made(config, str(filepath))
        weights = read(WEIGHTS)
        if weights is not None:
            unpack_weights(model, weights, str(filepath))
        model.take_saved_parts(read, compile)
    return model


def _made(config: dict[str, Any], where: str) -> Model:
    """The model of a configuration, built where that tells the shapes. InvalidModelError where it is not what `serialize` makes."""
    try:
        model = deserialize({key: value for key, value in config.items() if key != "build_config"})
        if isinstance(model, Model) and not model.built and config.get("build_config"):
            model.build_from_config(config["build_config"])
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        if isinstance(error, Error):
            raise
        raise InvalidModelError(f"the configuration in {where} describes no model: {type(error).__name__}: {error}") from error
    if not isinstance(model, Model):
        raise InvalidModelError(f"{where} holds a {type(model).__name__}, no model")
    return model


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _parsed(data: bytes | None, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data or b"")
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{where} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidModelError(f"{where} holds a {type(value).__name__}, not an object")
    return value


def _reader(data: bytes, where: str) -> Callable[[str], bytes | None]:
    """A function that gives the parts of a file by name, None for one that is not there. InvalidModelError for a file that is no
    model's."""
    read = read_archive(data, where)
    told = _parsed(read(METADATA), f"{where}: {METADATA}")
    if told.get("form") != FORM:
        raise InvalidModelError(f"{where} is no file of a model: its {METADATA} does not say {FORM!r}")
    if told.get("version") != FORM_VERSION:
        raise InvalidModelError(f"{where} has version {told.get('version')!r} of the form, this is dlcompile {VERSION}, which reads {FORM_VERSION}")
    return read


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model of what `Model.to_json` has returned, with new weights."""
    with custom_object_scope(custom_objects or {}):
        return _made(_parsed(json_string.encode(), "the text"), "the text")


__all__ = ["load_model", "model_from_json", "save_model"]
