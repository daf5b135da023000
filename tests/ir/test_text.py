"""The text form of graphs: what it reads and prints, and where it says that a text is wrong."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible

EVERYTHING = """\
input x: bf16[T, 4096]
input residual: bf16[T, 4096]
constant w: bf16[4096]
updated cache: bf16[B, 16, 8, 128]
sum = add(x, residual)
q, s = rows rms_norm+per_token_group_quant_fp8 {
  y = rms_norm(sum, w, eps=1e-05)
  q, s = per_token_group_quant_fp8(y, group_size=64)
  return q, s
}
a: bf16[T, 64], b: i32[2*T-1] = opaque(q, none, s, name="flash", mutates=true, f=-inf, k=[1, -2])
opaque(a, name="barrier", mutates=true)
n = rms_norm(x)
z = mul(n, by=2.0)
return a, sum, z, z
"""


def parse(*lines: str) -> fusible.Graph:
    return fusible.Graph.parse("\n".join(lines) + "\n")


def body(call: str) -> fusible.Graph:
    """A graph of one call on x: f32[T, 64] and w: f32[64]."""
    return parse("input x: f32[T, 64]", "constant w: f32[64]", call, "return x")


def test_prints_what_it_read() -> None:
    graph = fusible.Graph.parse(EVERYTHING)
    graph.verify()
    assert str(graph) == EVERYTHING
    assert fusible.Graph.parse(str(graph)) == graph


def test_comments_blank_lines_and_line_ends_do_not_count() -> None:
    graph = parse(
        "# what", "input x: f32[", "  T, 64]  # rows", "", "y = add(x,\r", " x,)", "return y"
    )
    assert str(graph) == "input x: f32[T, 64]\ny = add(x, x)\nreturn y\n"


def test_keywords_may_be_names() -> None:
    text = (
        "input input: f32[4]\nconstant constant: f32[4]\nupdated updated: f32[4]\n"
        "return = add(input, constant)\nrows = add(return, updated)\nopaque = softmax(rows)\n"
        "return opaque -> updated, return\n"
    )
    assert str(fusible.Graph.parse(text)) == text


def test_new_values_are_found_or_said() -> None:
    head = "updated c: f32[T, 64]\ninput x: f32[T, 64]\ny = add(x, c)\nz = softmax(y)\n"
    found = fusible.Graph.parse(f"{head}return z, y\n")
    assert str(found) == f"{head}return z, y -> c\n"
    assert fusible.Graph.parse(f"{head}return z -> c, y\n") != found


def test_defaults_are_filled_in_and_not_printed() -> None:
    graph = body("y = rms_norm(x, none, eps=1e-06)")
    (node,) = graph.nodes
    assert node.attrs == {"eps": 1e-06}
    assert node.inputs == ["x", None]
    assert "y = rms_norm(x)\n" in str(graph)


@pytest.mark.parametrize("value", ["1e-05", "0.1", "5e-324", "3.4028234663852886e+38", "-0.0"])
def test_numbers_keep_their_bits(value: str) -> None:
    graph = body(f"y = mul(x, by={value})")
    assert graph.nodes[0].attrs["by"].hex() == float(value).hex()
    assert f"by={value}" in str(graph)


@pytest.mark.parametrize("value", ['"a\\"b\\\\"', "[]", "[0, -1]", "bf16", "false", "nan", "-inf"])
def test_values_of_every_kind_are_printed_as_read(value: str) -> None:
    call = f'y: f32[T] = opaque(x, name="other", v={value})'
    assert call in str(body(call))


@pytest.mark.parametrize("dim", ["0", "4096", "T", "2*T", "T+1", "2*T-1"])
def test_sizes_are_printed_as_read(dim: str) -> None:
    text = f"input x: f32[{dim}]\nreturn x\n"
    assert str(fusible.Graph.parse(text)) == text


def test_a_declared_type_must_be_the_inferred_one() -> None:
    assert str(body("y: f32[T, 64] = add(x, x)")) == str(body("y = add(x, x)"))
    with pytest.raises(
        fusible.GraphError, match=r"add: y: expected f32\[T, 64\], got f32\[T, 32\]"
    ):
        body("y: f32[T, 32] = add(x, x)")


def test_names_of_a_region_may_be_those_around_it() -> None:
    text = (
        "input x: f32[T, 64]\ny = rows a {\n  z = add(x, x)\n  y = softmax(z)\n  return y\n}\n"
        "z = add(y, y)\nreturn z\n"
    )
    graph = fusible.Graph.parse(text)
    graph.verify()
    assert str(graph) == text
    assert [node.name for node in graph.nodes[0].body.nodes] == ["add", "softmax"]


REFUSED = {
    "y = add(x, z)": (3, 12, "expected a value defined above, got `z`"),
    "y = ad(x, x)": (3, 5, "add"),
    "y = add(x, x": (4, 1, "expected `)` behind the arguments, got `return`"),
    "x = add(x, x)": (3, 1, "expected a new name, got `x` again"),
    "none = add(x, x)": (3, 1, "expected the name of a value, got `none`"),
    "y, z = add(x, x)": (3, 8, "add: expected 1 results, got 2"),
    "y = add(x)": (3, 5, "add"),
    "y = add(x, x, x)": (3, 5, "add"),
    "y = add(x, by=1.0)": (3, 5, "add"),
    "y = mul(x, by=1.0, by=2.0)": (3, 20, "expected each attribute once, got `by` again"),
    "y = mul(by=1.0, x)": (3, 17, "operands come first"),
    "y = mul(x, by=fast)": (3, 15, "expected a value (a string stands in quotes), got `fast`"),
    "y = mul(x, by=1e999)": (3, 15, "expected a number that a double can hold"),
    "y = slice(x, stop=9223372036854775808)": (3, 19, "expected an integer of 64 bits"),
    "y = slice(x, stop=-)": (3, 20, "expected a number, got `)`"),
    'y: f32[T] = opaque(x, name="a)': (3, 28, "expected a closing quote, got the end of the text"),
    'y = opaque(x, name="a")': (3, 1, "opaque: expected a result with its type"),
    "y: f32[T] = opaque(x)": (3, 13, "opaque: name: expected a string, got none"),
    "y: f8[T] = add(x, x)": (3, 4, "expected a dtype such as bf16, got `f8`"),
    "y: f32[-1] = add(x, x)": (3, 8, "expected a size"),
    "y = add(x, x) z": (3, 15, "expected the end of the line, got `z`"),
    "y = rows a b {": (3, 12, "expected `{`"),
    "y = rows a+ b {": (3, 13, "expected a region's name without blanks"),
    "y = add(x, ü)": (3, 12, "expected the name of an operand, got byte 195"),
    "input x: f32[4]": (3, 7, "expected a new name, got `x` again"),
    "?": (3, 1, "expected a statement"),
}


@pytest.mark.parametrize(
    ("returned", "column", "expected"),
    [
        ("return y -> x", 13, "expected an updated input, got `x`"),
        ("return y -> none", 13, "expected an updated input, got `none`"),
        ("return y -> c, y -> c", 21, "expected one new value of `c`"),
        ("return y - c", 12, "expected `>` and the updated input whose new value it is, got `c`"),
        ("return y -> ", 13, "expected the name of an updated input, got the end of the line"),
    ],
)
def test_wrong_new_values_are_refused(returned: str, column: int, expected: str) -> None:
    text = f"updated c: f32[T, 64]\ninput x: f32[T, 64]\ny = add(x, c)\n{returned}\n"
    with pytest.raises(fusible.GraphError) as error:
        fusible.Graph.parse(text)
    assert (error.value.line, error.value.column) == (4, column)
    assert expected in str(error.value)


@pytest.mark.parametrize("call", REFUSED)
def test_errors_name_the_place(call: str) -> None:
    line, column, message = REFUSED[call]
    with pytest.raises(fusible.GraphError) as caught:
        body(call)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: ")
    assert message in str(caught.value)


def test_the_end_is_a_place_too() -> None:
    with pytest.raises(fusible.GraphError, match="got the end of the text"):
        fusible.Graph.parse("input x: f32[4]\n")
    with pytest.raises(fusible.GraphError, match=r"line 2, column 1: expected the end of the text"):
        fusible.Graph.parse("return\nreturn\n")


def test_sizes_stay_within_64_bits() -> None:
    for dims in ["288230376151711745", "4294967296*T, 4294967296", "9223372036854775807"]:
        with pytest.raises(fusible.GraphError, match=r"expected at most 2\^58 elements"):
            fusible.Graph.parse(f"input x: f32[{dims}]\nreturn x\n")
    with pytest.raises(fusible.GraphError, match="at most 8 sizes"):
        fusible.Graph.parse(f"input x: f32[{', '.join('1' * 9)}]\nreturn x\n")


def test_regions_nest_only_so_deep() -> None:
    def nested(depth: int) -> str:
        head = "input x: f32[4]\n" + "y = rows a {\n" * depth + "y = softmax(x)\n"
        return head + "return y\n}\n" * depth + "return y\n"

    fusible.Graph.parse(nested(8))
    with pytest.raises(
        fusible.GraphError, match="line 10, column 10: expected regions at most 8 deep"
    ):
        fusible.Graph.parse(nested(9))


def test_a_long_text_takes_no_stack() -> None:
    calls = "".join(f"y{i + 1} = softmax(y{i})\n" for i in range(20_000))
    graph = fusible.Graph.parse(f"input y0: f32[4]\n{calls}return y20000\n")
    assert len(graph.nodes) == 20_000
    with pytest.raises(fusible.GraphError):
        fusible.Graph.parse("input x: f32[" * 20_000)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,6}", fullmatch=True).filter(lambda n: n != "none")


@given(st.data())
def test_any_graph_reads_back(data: st.DataObject) -> None:
    """Random chains of calls under random names."""
    names = data.draw(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    lines = [f"input {names[0]}: f32[T, 64]"]
    for i, name in enumerate(names[1:], 1):
        x, y = (data.draw(st.sampled_from(names[:i])) for _ in range(2))
        by = data.draw(st.floats(-3e38, 3e38))
        call = data.draw(
            st.sampled_from([f"add({x}, {y})", f"mul({x}, by={by!r})", f"softmax({x})"])
        )
        lines.append(f"{name} = {call}")
    graph = parse(*lines, f"return {', '.join(names)}")
    graph.verify()
    again = fusible.Graph.parse(str(graph))
    assert again == graph
    assert str(again) == str(graph)
    assert again.key() == graph.key()


@given(st.text(alphabet='xy=(),[]{}"#\n *+-.109Tinputreows', max_size=60))
def test_no_text_does_harm(text: str) -> None:
    with suppress(fusible.GraphError):
        graph = fusible.Graph.parse(text)
        assert fusible.Graph.parse(str(graph)) == graph
