"""Names of a model in C: whatever they hold, they stay identifiers, literals and comments."""
import re
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from dlcompile.codegen.names import RESERVED, c_comment, c_string, identifier, model_identifier, unique_identifiers
from tests.programs import COMPILERS

NASTY = [
    '', 'x', 'a*/b', '/*', '*/ int main; /*', 'quote"', "back\\slash", "line\nbreak", "tab\t", "\r", "??/", "??'", "*\\\n/", "größe",
    "\u202e", "日本語", "\x00", "a;rm -rf /", "$(x)", "`x`", "%s%n", "\ud800", "\\", "a\\", "?", "input.1", "1st", "_x", "int", "class",
    "/model/conv/Conv_output_0", "dlc_run", "this_info", "x" * 300, "é" * 300,
]


@given(st.text())
def test_identifiers_are_identifiers(text):
    name = identifier(text)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name)
    assert name not in RESERVED and not name.startswith(("dlc_", "this_"))
    assert model_identifier(model_identifier(text)) == model_identifier(text)


@given(st.lists(st.sampled_from(NASTY)))
def test_unique_identifiers_differ(texts):
    names = unique_identifiers(texts, ("x", "context"))
    assert len(set(names)) == len(texts) and not {"x", "context"} & set(names)


def test_identifiers_stay_as_they_are_where_they_can():
    assert [identifier(t) for t in ("mnist", "resnet50_v2", "input.1", "a b")] == ["mnist", "resnet50_v2", "input_1", "a_b"]
    assert model_identifier("exp") == "exp_model" and model_identifier("int") == "int_model" and model_identifier("3d") == "model_3d"


def test_literals_and_comments_survive_the_compiler(tmp_path):
    """Every text comes back from a C program byte by byte, and no comment swallows or releases code."""
    rows = "".join(f"    {{{c_string(t)}, {len(t.encode('utf-8', 'surrogatepass'))}}}, /* {c_comment(t, 10_000)} */\n" for t in NASTY)
    (tmp_path / "texts.c").write_text(f"""\
#include <stdio.h>
static const struct {{ const char *text; unsigned long size; }} rows[] = {{
{rows}}};
int main(void)
{{
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; ++i) {{
        fwrite(rows[i].text, 1, rows[i].size, stdout);
        putchar(1);
    }}
    return 0;
}}
""")
    expected = b"".join(t.encode("utf-8", "surrogatepass") + b"\1" for t in NASTY)
    for compiler in COMPILERS:
        command = [compiler, "-std=c99", "-trigraphs", "-Wall", "-Wcomment", "-Wno-trigraphs", "-Werror", "-o", str(tmp_path / "texts"),
                   str(tmp_path / "texts.c")]
        subprocess.run(command, check=True)
        assert subprocess.run([str(tmp_path / "texts")], capture_output=True, check=True).stdout == expected


@given(st.text())
def test_comments_have_one_line_and_no_end(text):
    comment = c_comment(text)
    assert "*/" not in comment and "/*" not in comment and len(comment.splitlines()) <= 1 and comment.isascii()
    assert len(comment) <= 110
