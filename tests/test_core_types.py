"""pygrad/_core.pyi says what the C API is."""

import importlib.util
from pathlib import Path

from pygrad import _lib

ROOT = Path(__file__).parent.parent


def build_ffi():
    spec = importlib.util.spec_from_file_location("build_ffi", ROOT / "build_ffi.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_types_of_the_core_follow_the_c_api():
    types = Path(_lib.__file__).with_name("_core.pyi").read_text(encoding="utf-8")
    assert types == build_ffi().stub(), "run `python build_ffi.py`"


def test_every_name_of_the_core_has_a_type():
    types = build_ffi().stub()
    missing = [name for name in dir(_lib.lib) if f" {name}:" not in types and f" {name}(" not in types]
    assert not missing
