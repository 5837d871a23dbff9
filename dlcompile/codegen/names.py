"""Names and texts that come from a model, made safe to stand in C: identifiers, string literals, comments."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short
    signed sizeof static struct switch typedef union unsigned void volatile while asm typeof bool true false nullptr thread_local constexpr
    static_assert alignas alignof noreturn complex imaginary
    alignas and and_eq bitand bitor catch char8_t char16_t char32_t class co_await co_return co_yield compl concept consteval constinit
    const_cast decltype delete dynamic_cast explicit export final friend import module mutable namespace new noexcept not not_eq operator or
    or_eq override private protected public reinterpret_cast requires static_cast template this throw try typeid typename using virtual
    wchar_t xor xor_eq
    linux unix i386 near far NULL EOF NAN INFINITY I errno stdin stdout stderr assert main
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t size_t ssize_t ptrdiff_t intmax_t uintmax_t
""".split()
RESERVED = frozenset(_KEYWORDS)
"""words of C and C++, macros that compilers predefine, and names of the headers that a generated header includes or a program is sure to"""

_PREFIXES = ("dlc_", "this_", "THIS_")
"""of the names that generated code has for itself"""

MAX_IDENTIFIER = 64  # C99 promises 63 significant characters; file names are made of these too


def identifier(text: str, fallback: str = "x") -> str:
    """A C and C++ identifier that resembles `text`; `text` itself where it is one already. Always the same one for the same text."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_" if not _is_identifier(text) else "")
    if not name:
        name = fallback
    if name[0].isdigit() or name[0] == "_" or name.startswith(_PREFIXES):
        name = f"{fallback}_{name.lstrip('_')}"
    if name in RESERVED:
        name = f"{name}_"
    if len(name) >= MAX_IDENTIFIER:
        name = f"{name[:MAX_IDENTIFIER - 10]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def _is_identifier(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is not None


_LIBC = frozenset("""
    abort abs access acos alarm asin atan basename bind brk ceil chdir chmod chown clock close connect cos ctime daemon div dup environ erf
    error exec execl execv exit exp fabs fclose fdopen feof ffs fgets fileno finite floor fmax fmin fmod fopen fork fprintf fputs fread free
    frexp fseek ftell gamma getc getenv getopt getpid gets hypot index ioctl isatty kill labs lchown ldexp lfind lgamma link listen log logb
    lsearch lseek main malloc memchr memcmp memcpy memset mkdir mktime modf munmap mmap nan nice open pause pipe poll popen pow printf putc
    puts qsort raise rand random read readlink realloc recv remainder remove rename rewind rindex rint rmdir round sbrk scanf select send
    setenv signal signbit sin sleep sockatty socket sprintf sqrt srand srandom stat step stime strcat strchr strcmp strcpy strdup strlen
    sync syscall system tan tanh tempnam time times timezone tgamma tmpfile toupper tolower trunc truncate ttyname umask uname unlink usleep
    vfork wait warn write y0 y1 yn j0 j1 jn sinh cosh acosh asinh atanh cbrt exp2 expm1 log2 log10 log1p tzname daylight signgam optarg
""".split())
"""names of the C library that a model's context type must not have"""


def model_identifier(text: str) -> str:
    """The prefix of every symbol of a model called `text`, which is also the name of its context type."""
    name = identifier(text, "model")
    name = f"{name}_" if name in _LIBC else name
    return f"{name}model" if name.endswith("_") and name[:-1] in RESERVED | _LIBC else name


def unique_identifiers(texts: Iterable[str], taken: Iterable[str] = (), fallback: str = "x") -> tuple[str, ...]:
    """An identifier for each text, no two alike and none of `taken`."""
    used, result = set(taken), []
    for text in texts:
        base = name = identifier(text, fallback)
        counter = 1
        while name in used:
            counter += 1
            name = f"{base}_{counter}"
        used.add(name)
        result.append(name)
    return tuple(result)


def c_string(text: str) -> str:
    """A string literal holding the UTF-8 of `text`. Nothing in it can end it: what is not plain ASCII becomes octal escapes."""
    plain = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?", ord("\n"): "\\n"}
    data = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(plain.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data) + '"'


def c_comment(text: str, limit: int = 100) -> str:
    """What may stand inside a comment for `text`: one line of ASCII that neither ends the comment nor opens one, cut at `limit`."""
    text = text.encode("ascii", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else " " for c in text)
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/").rstrip("\\")
