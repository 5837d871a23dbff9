"""Settings: the file, the environment, the functions, and what is wrong with each."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import dlcompile
from dlcompile import config
from dlcompile.errors import ArgumentError, SettingsError

DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "backend": "c", "image_data_format": "channels_last"}


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DLCOMPILE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DLCOMPILE_BACKEND", raising=False)
    config._forget()
    yield tmp_path / "home"
    config._forget()


def write(home, text: str) -> None:
    home.mkdir()
    (home / "dlcompile.json").write_text(text)


def test_the_file_is_made_with_the_defaults_when_a_setting_is_asked_for(own_home):
    assert not own_home.exists()
    assert {name: getattr(config, name)() for name in DEFAULTS} == DEFAULTS
    assert json.loads((own_home / "dlcompile.json").read_text()) == DEFAULTS
    assert os.listdir(own_home) == ["dlcompile.json"]


def test_importing_reads_nothing(own_home):
    code = "import dlcompile.config, dlcompile.variables, dlcompile.registry"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "DLCOMPILE_BACKEND": "nonsense"})
    assert not own_home.exists()


def test_the_file_says_what_it_says_and_the_defaults_the_rest(own_home):
    write(own_home, '{"floatx": "float64", "epsilon": 1e-5}')
    assert (config.floatx(), config.epsilon(), config.backend()) == ("float64", 1e-5, "c")
    assert (own_home / "dlcompile.json").read_text() == '{"floatx": "float64", "epsilon": 1e-5}'  # as its owner wrote it


def test_the_environment_goes_before_the_file_and_a_function_before_both(own_home, monkeypatch):
    write(own_home, '{"backend": "c"}')
    monkeypatch.setenv("DLCOMPILE_BACKEND", "numpy")
    assert config.backend() == "numpy"
    config.set_backend("c")
    assert config.backend() == "c"


def test_functions_change_settings():
    config.set_floatx(np.float64)
    config.set_epsilon(1e-3)
    config.set_image_data_format("channels_first")
    assert (config.floatx(), config.epsilon(), config.image_data_format()) == ("float64", 1e-3, "channels_first")
    config.set_floatx("bfloat16")
    assert config.floatx() == "bfloat16"


@pytest.mark.parametrize(("text", "says"), [
    ("{", "dlcompile.json is not JSON"), ("[1]", "holds list, not an object"), ('{"floatx": "int8"}', "floatx is 'float32', 'float64', 'float16' or"),
    ('{"epsilon": -1}', "epsilon is a number greater than 0, not -1"), ('{"epsilon": true}', "epsilon is"), ('{"epsilon": NaN}', "epsilon is"),
    ('{"backend": "cuda"}', "backend is 'c' or 'numpy', not 'cuda'"), ('{"back_end": "c"}', "no setting 'back_end'; there are floatx, epsilon"),
    ('{"image_data_format": null}', "'channels_last' or 'channels_first', not None")])
def test_a_wrong_file_is_an_error_that_names_it(own_home, text, says):
    write(own_home, text)
    with pytest.raises(SettingsError, match=says) as error:
        config.floatx()
    assert str(own_home / "dlcompile.json") in str(error.value)


def test_a_file_that_is_no_text(own_home):
    own_home.mkdir()
    (own_home / "dlcompile.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(SettingsError, match="cannot be read"):
        config.floatx()


def test_a_wrong_environment_is_an_error_that_names_it(monkeypatch):
    monkeypatch.setenv("DLCOMPILE_BACKEND", "jax")
    with pytest.raises(SettingsError, match="DLCOMPILE_BACKEND is 'c' or 'numpy', not 'jax'"):
        config.backend()


@pytest.mark.parametrize(("function", "value"), [
    (config.set_floatx, "float"), (config.set_floatx, np.int32), (config.set_epsilon, 0), (config.set_epsilon, "1e-7"),
    (config.set_backend, "tensorflow"), (config.set_image_data_format, "NCHW")])
def test_a_wrong_argument_changes_nothing(function, value):
    with pytest.raises(ArgumentError):
        function(value)
    assert {name: getattr(config, name)() for name in DEFAULTS} == DEFAULTS


def test_data_format_of_a_layer():
    assert config.standardize_data_format(None) == "channels_last"
    assert config.standardize_data_format("channels_FIRST") == "channels_first"
    with pytest.raises(ArgumentError, match="data_format is"):
        config.standardize_data_format("NHWC")


def test_a_home_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLCOMPILE_HOME", str(tmp_path / "file"))  # whoever runs the tests: a directory inside a file cannot be made
    config._forget()
    assert config.floatx() == "float32"


def test_two_processes_that_make_the_file_at_once_leave_a_whole_one(own_home):
    code = "from dlcompile import config; print(config.floatx())"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in running] == ["float32"] * 2
    assert json.loads((own_home / "dlcompile.json").read_text()) == DEFAULTS
    assert os.listdir(own_home) == ["dlcompile.json"]


def test_the_names_of_keras_backend():
    assert dlcompile.backend.floatx() == dlcompile.backend.standardize_dtype() == "float32" and dlcompile.backend.backend() == "c"
    dlcompile.backend.set_floatx("bfloat16")
    assert dlcompile.config.floatx() == dlcompile.backend.standardize_dtype() == "bfloat16"
    assert dlcompile.backend.is_float_dtype("bfloat16") and dlcompile.backend.is_int_dtype(np.uint8) and not dlcompile.backend.is_int_dtype(bool)
