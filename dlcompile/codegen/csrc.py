"""The headers that generated C is written against."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@cache
def csrc_dir() -> Path:
    """The directory of the headers: `csrc/` of a checkout, or what the package was installed with."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package.parent / "csrc", package / "_csrc"):
        if (directory / "dlc_model.h").is_file():
            return directory
    raise FileNotFoundError(f"the C headers of dlcompile are neither in {package.parent / 'csrc'} nor in {package / '_csrc'}")


def csrc_text(name: str) -> str:
    """The text of one of the headers."""
    return (csrc_dir() / name).read_text(encoding="utf-8")


def included(texts: Iterable[str]) -> dict[str, str]:
    """The headers that the sources include, directly or through one another: name → text."""
    found: dict[str, str] = {}
    waiting = [name for text in texts for name in _INCLUDE.findall(text)]
    while waiting:
        name = waiting.pop()
        if name not in found and (csrc_dir() / name).is_file():
            found[name] = csrc_text(name)
            waiting += _INCLUDE.findall(found[name])
    return dict(sorted(found.items()))


@cache
def csrc_digest() -> str:
    """A digest of all headers: what is compiled against others is another library."""
    digest = hashlib.sha256()
    for path in sorted(csrc_dir().glob("*.h")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
