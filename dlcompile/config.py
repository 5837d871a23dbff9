"""Settings that models are made with: the type of floats, epsilon, the order of an image's axes, and what runs them.

They come from `~/.dlcompile/dlcompile.json` (`DLCOMPILE_HOME` names another directory), which is written with the defaults where there is none.
`DLCOMPILE_BACKEND` goes before the file, the functions of this module before both. Nothing is read before a setting is asked for.

    {"floatx": "float32", "epsilon": 1e-07, "backend": "c", "image_data_format": "channels_last"}
"""
from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, SettingsError

FILE = "dlcompile.json"


@dataclass(frozen=True)
class Setting:
    """What a setting is where nobody says anything, and what it can be, in words and as a test."""

    default: Any
    allowed: str
    accepts: Callable[[Any], bool]


def _one_of(*values: str) -> Setting:
    """A setting with a few values, the first of which is the default."""
    return Setting(values[0], ", ".join(map(repr, values[:-1])) + f" or {values[-1]!r}", lambda value: value in values)


def _is_small(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


SETTINGS: dict[str, Setting] = {
    "floatx": _one_of("float32", "float64", "float16", "bfloat16"),
    "epsilon": Setting(1e-7, "a number greater than 0", _is_small),
    "backend": _one_of("c", "numpy"),
    "image_data_format": _one_of("channels_last", "channels_first"),
}

ENVIRONMENT = {"backend": "DLCOMPILE_BACKEND"}
"""setting → the environment variable that goes before the file"""

_given: dict[str, Any] = {}
"""what the functions of this module have set"""

_read: dict[str, Any] | None = None
"""what environment and file say, once one has been asked for"""


def home() -> Path:
    """The directory of the settings: `DLCOMPILE_HOME`, or `.dlcompile` in the user's home directory."""
    given = os.environ.get("DLCOMPILE_HOME")
    return Path(given) if given else Path(os.path.expanduser("~"), ".dlcompile")


def _value(name: str) -> Any:
    global _read
    if name in _given:
        return _given[name]
    if _read is None:
        _read = {**_from_file(home() / FILE), **_from_environment()}
    return _read[name]


def _set(name: str, value: Any) -> None:
    if not SETTINGS[name].accepts(value):
        raise ArgumentError(f"{name} is {SETTINGS[name].allowed}, not {value!r}")
    _given[name] = value


def _from_environment() -> dict[str, Any]:
    found = {name: os.environ[variable] for name, variable in ENVIRONMENT.items() if os.environ.get(variable)}
    for name, value in found.items():
        if not SETTINGS[name].accepts(value):
            raise SettingsError(f"the environment variable {ENVIRONMENT[name]} is {SETTINGS[name].allowed}, not {value!r}")
    return found


def _from_file(path: Path) -> dict[str, Any]:
    """The settings in a file, with the defaults of those that it does not mention. A file that is not there is written where it can be."""
    defaults = {name: setting.default for name, setting in SETTINGS.items()}
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        _write(path, defaults)
        return defaults
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{path} holds {type(found).__name__}, not an object with the settings {', '.join(SETTINGS)}")
    for name, value in found.items():
        if name not in SETTINGS:
            raise SettingsError(f"{path}: there is no setting {name!r}; there are {', '.join(SETTINGS)}")
        if not SETTINGS[name].accepts(value):
            raise SettingsError(f"{path}: {name} is {SETTINGS[name].allowed}, not {value!r}")
    return {**defaults, **found}


def _write(path: Path, values: dict[str, Any]) -> None:
    """Write the file, whole or not at all, and not over one that another process has just made. No error where that cannot be done."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{FILE}-", encoding="utf-8") as file:
            file.write(json.dumps(values, indent=4) + "\n")
            file.flush()
            os.chmod(file.name, 0o644)
            os.link(file.name, path)


def _forget() -> None:
    """As if nothing had been asked for or set: for tests, which have directories of their own."""
    global _read
    _read = None
    _given.clear()


# -- what others ask ----------------------------------------------------------------------------------------------------------
def floatx() -> str:
    """The name of the type that floats have where none is named.

    >>> floatx()
    'float32'
    """
    return _value("floatx")


def set_floatx(value: Any) -> None:
    """Change `floatx`: "float32", "float64", "float16" or "bfloat16", or the NumPy type of one."""
    _set("floatx", value if isinstance(value, str) else np.dtype(value).name)


def epsilon() -> float:
    """The small number that keeps quotients and logarithms finite.

    >>> epsilon()
    1e-07
    """
    return _value("epsilon")


def set_epsilon(value: float) -> None:
    """Change `epsilon`."""
    _set("epsilon", value)


def image_data_format() -> str:
    """"channels_last" for images [N, H, W, C], "channels_first" for [N, C, H, W]: what layers take where they are told nothing.

    >>> image_data_format()
    'channels_last'
    """
    return _value("image_data_format")


def set_image_data_format(data_format: str) -> None:
    """Change `image_data_format`: "channels_last" or "channels_first"."""
    _set("image_data_format", str(data_format).lower())


def standardize_data_format(data_format: str | None) -> str:
    """A layer's argument `data_format`: what it says, or the setting where it is None. ArgumentError for any other word."""
    if data_format is None:
        return image_data_format()
    if not SETTINGS["image_data_format"].accepts(str(data_format).lower()):
        raise ArgumentError(f"data_format is {SETTINGS['image_data_format'].allowed}, not {data_format!r}")
    return str(data_format).lower()


def backend() -> str:
    """What runs models: "c", compiled to a library, or "numpy", the interpreter, which needs no compiler and takes its time.

    >>> backend() in ("c", "numpy")
    True
    """
    return _value("backend")


def set_backend(value: str) -> None:
    """Change `backend`: "c" or "numpy". What runs from here on is run by it; what a model has learned stays."""
    _set("backend", value)


# -- what is said -----------------------------------------------------------------------------------------------------------
_interactive = True


def enable_interactive_logging() -> None:
    """Print what is said while a model is trained, which is how it is at first."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Hand what is said while a model is trained to Python's `logging`, at the level INFO."""
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Whether what is said is printed."""
    return _interactive


__all__ = ["backend", "disable_interactive_logging", "enable_interactive_logging", "epsilon", "floatx", "image_data_format",
           "is_interactive_logging_enabled", "set_backend", "set_epsilon", "set_floatx", "set_image_data_format", "standardize_data_format"]
