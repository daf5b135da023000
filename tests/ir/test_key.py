"""Keys of graphs: what they see, what they do not see, and how they say so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import fusible
from fusible import _core

GRAPH = """\
input x: bf16[T, 256]
input r: bf16[T, 256]
constant w: bf16[256]
sum = add(x, r)
y = rms_norm(sum, w, eps=1e-05)
q, s = per_token_group_quant_fp8(y)
z = mul(x, by=2.0)
return q, s, z
"""

REGION = """\
input x: f32[T, 64]
y = rows add+softmax {
  z = add(x, x)
  y = softmax(z)
  return y
}
return y
"""

OPAQUE = """\
input x: f32[T]
a: f32[T] = opaque(x, name="first", mutates=true)
b: f32[T] = opaque(x, name="second", mutates=true)
c: f32[S] = opaque(x, name="third")
return a, b, c
"""


def key(text: str) -> fusible.Key:
    graph = fusible.Graph.parse(text)
    graph.verify()
    return graph.key()


def rename(text: str) -> str:
    """The same graph under other names of values and symbols."""
    text = re.sub(r"\b(x|r|w|sum|y|q|s|z|a|b|c)\b(?!=)", r"other.\1", text)
    return re.sub(r"\b(T|S)\b", r"Size\1", text)


def swap(text: str, first: str, second: str) -> str:
    """Two lines in the other order."""
    lines = text.splitlines()
    i, j = (next(n for n, line in enumerate(lines) if line.startswith(s)) for s in (first, second))
    lines[i], lines[j] = lines[j], lines[i]
    return "\n".join(lines) + "\n"


def test_a_key_is_a_uuid_of_version_8() -> None:
    text = key(GRAPH).uuid
    parsed = uuid.UUID(text)
    assert str(parsed) == text == str(key(GRAPH))
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


@pytest.mark.parametrize("text", [GRAPH, REGION, OPAQUE])
def test_names_do_not_count(text: str) -> None:
    assert rename(text) != text
    assert key(rename(text)) == key(text)


def test_the_order_of_independent_nodes_does_not_count() -> None:
    assert key(swap(swap(GRAPH, "q, s =", "z ="), "y =", "z =")) == key(GRAPH)
    assert key(swap(GRAPH, "q, s =", "z =")) == key(GRAPH)


APART = """\
input x: f32[T, 64]
input z: f32[T, 64]
y = rows a {
  y = softmax(x)
  return y
}
u = rows b {
  u = softmax(z)
  return u
}
return y, u
"""

TOGETHER = """\
input x: f32[T, 64]
input z: f32[T, 64]
y, u = rows a {
  y = softmax(x)
  u = softmax(z)
  return y, u
}
return y, u
"""


def test_which_nodes_share_a_region_counts() -> None:
    assert key(APART) != key(TOGETHER)


def test_what_nothing_needs_does_not_count() -> None:
    assert key(GRAPH.replace("return", "unused = softmax(x)\nreturn")) == key(GRAPH)


def test_the_order_of_mutations_counts() -> None:
    assert key(swap(OPAQUE, "a:", "b:")) != key(OPAQUE)
    assert key(swap(OPAQUE, "b:", "c:")) != key(OPAQUE)


def test_mutations_count_though_nothing_reads_them() -> None:
    assert key(OPAQUE.replace("return a, b, c", "return c")) != key(
        OPAQUE.replace("return a, b, c", "return c").replace('"second"', '"other"')
    )


def test_the_name_of_a_region_does_not_count_and_its_borders_do() -> None:
    assert key(REGION.replace("add+softmax", "both")) == key(REGION)
    plain = "input x: f32[T, 64]\nz = add(x, x)\ny = softmax(z)\nreturn y\n"
    assert key(plain) != key(REGION)


OTHERS = {
    "attribute": GRAPH.replace("1e-05", "1e-06"),
    "attribute of another node": GRAPH.replace("by=2.0", "by=-2.0"),
    "variant": GRAPH.replace("quant_fp8(y)", "quant_fp8(y, dtype=e4m3fnuz)"),
    "dtype": GRAPH.replace("bf16", "f16"),
    "size": GRAPH.replace("256", "512"),
    "number for a symbol": GRAPH.replace("x: bf16[T", "x: bf16[1").replace(
        "r: bf16[T", "r: bf16[1"
    ),
    "other operand": GRAPH.replace("add(x, r)", "add(x, x)"),
    "absent operand": GRAPH.replace("rms_norm(sum, w,", "rms_norm(sum, none,"),
    "kind of input": GRAPH.replace("constant w", "input w"),
    "order of inputs": swap(GRAPH, "input r", "constant w"),
    "order of outputs": GRAPH.replace("return q, s, z", "return z, q, s"),
    "output twice": GRAPH.replace("return q, s, z", "return q, s, z, z"),
    "operator": GRAPH.replace("y = rms_norm(sum, w", "y = gemma_rms_norm(sum, w"),
    "node that is done twice": GRAPH.replace(
        "z = mul(x, by=2.0)", "v = mul(x, by=2.0)\nz = add(v, v)"
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_graph_has_another_key(what: str) -> None:
    assert OTHERS[what] != GRAPH
    assert key(OTHERS[what]) != key(GRAPH)


def test_all_keys_differ() -> None:
    keys = {str(key(text)) for text in [GRAPH, REGION, OPAQUE, *OTHERS.values()]}
    assert len(keys) == len(OTHERS) + 3


def test_which_dimensions_share_a_symbol_counts() -> None:
    text = (
        "input x: f32[{}, 64]\ninput y: f32[{}, 64]\na = softmax(x)\nb = softmax(y)\nreturn a, b\n"
    )
    assert key(text.format("T", "T")) == key(text.format("S", "S"))
    assert key(text.format("T", "S")) == key(text.format("S", "T"))
    assert key(text.format("T", "T")) != key(text.format("T", "S"))


def test_a_key_says_what_it_is_made_from() -> None:
    made = key(GRAPH)
    assert [name for name, _ in made.parts] == ["inputs", "outputs", "structure", "operators"]
    assert "constant bf16[256]" in made.explain()
    lines = made.explain().splitlines()
    assert lines[0] == made.uuid
    assert lines[1:5] == [
        "  inputs:",
        "    input bf16[s0, 256]",
        "    input bf16[s0, 256]",
        "    constant bf16[256]",
    ]
    assert lines[5] == "  outputs:"
    assert [len(line.strip()) for line in lines[6:9]] == [64] * 3
    assert re.fullmatch(r"  structure: 4 nodes, sha256:\w{64}", lines[9])
    assert re.fullmatch(r"  operators: sha256:\w{64}", lines[10])
    assert len(lines) == 11


BEGINS = "4 nodes here, 4 there; it begins with "
DIFFERENCES = {
    "kind of input": {"inputs": "number 2 (w) is constant bf16[256] here, input bf16[256] there"},
    "attribute": {
        "outputs": "2 of 3 results are computed in another way: number 0 (q), number 1 (s)",
        "structure": f"{BEGINS}y = rms_norm(sum, w, eps=1e-05) here, y = rms_norm(sum, w) there",
    },
    "other operand": {
        "outputs": "2 of 3 results are computed in another way: number 0 (q), number 1 (s)",
        "structure": f"{BEGINS}sum = add(x, r) here, sum = add(x, x) there",
    },
    "node that is done twice": {
        "outputs": "1 of 3 results are computed in another way: number 2 (z)",
        "structure": "4 nodes here, 5 there; it begins with none here, z = add(v, v) there",
    },
    "order of outputs": {"outputs": "the same results in another order"},
    "output twice": {"outputs": "3 results here, 4 there"},
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_is_a_sentence_for_each_part(what: str) -> None:
    assert key(GRAPH).diff(key(OTHERS[what])) == DIFFERENCES[what]


def test_a_difference_in_operators_names_them() -> None:
    parts = key(GRAPH).diff(key(OTHERS["operator"]))
    assert [*parts] == ["outputs", "structure", "operators"]
    found = re.fullmatch(r"rms_norm (\w+) here, gemma_rms_norm (\w+) there", parts["operators"])
    assert found
    assert {len(digest) for digest in found.groups()} == {12}


def test_equal_keys_have_no_difference() -> None:
    assert key(GRAPH).diff(key(rename(GRAPH))) == {}


def test_a_difference_in_a_region_names_the_node_in_it() -> None:
    other = REGION.replace("softmax(z)", "mul(z, by=2.0)")
    sentence = key(REGION).diff(key(other))["structure"]
    nodes = "y = softmax(z) here, y = mul(z, by=2.0) there"
    assert sentence == f"3 nodes here, 3 there; it begins with {nodes}"
    assert key(APART).diff(key(TOGETHER))["structure"] == (
        "4 nodes here, 3 there; it begins with y = rows a; u = rows b here, y, u = rows a there"
    )


def test_names_that_differ_stand_both_in_a_difference() -> None:
    other = GRAPH.replace("constant w", "input v").replace("w,", "v,")
    kinds = "constant bf16[256] here, input bf16[256] there"
    assert key(GRAPH).diff(key(other)) == {"inputs": f"number 2 (w here, v there) is {kinds}"}


def test_many_differences_are_counted() -> None:
    lines = [f"v{i} = mul(x, by={i}.5)" for i in range(9)]
    body = "\n".join(lines)
    returned = ", ".join(f"v{i}" for i in range(9))
    texts = [
        f"input x: f32[T, 8]\n{b}\nreturn {returned}\n" for b in (body, body.replace(".5", ".25"))
    ]
    parts = key(texts[0]).diff(key(texts[1]))
    assert parts["outputs"].startswith("9 of 9 results ")
    assert parts["outputs"].endswith("number 2 (v2) and 6 more")
    assert parts["structure"].count(" and 6 more") == 2


def test_symmetric_operands_have_no_order() -> None:
    assert key(GRAPH.replace("add(x, r)", "add(r, x)")) == key(GRAPH)
    text = "input x: f32[T, 8]\ninput r: f32[T, 8]\na = softmax(x)\nb = {}\nc = {}\nreturn b, c\n"
    one, other = (
        key(text.format(*calls))
        for calls in (("add(a, r)", "mul(r, b)"), ("add(r, a)", "mul(b, r)"))
    )
    assert one == other
    normed = "{} = fused_add_rms_norm({}, w)\nreturn y, s\n"
    both = "input x: f32[T, 8]\ninput r: f32[T, 8]\nconstant w: f32[8]\n" + normed
    assert key(both.format("y, s", "x, r")) != key(both.format("y, s", "r, x"))


def test_another_process_makes_the_same_key() -> None:
    code = f"import fusible; print(fusible.Graph.parse({GRAPH!r}).key())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert runs == [str(key(GRAPH))] * 2


@pytest.mark.parametrize("second", ["U", "S"])
def test_sizes_that_opaque_nodes_bring_in_do_not_order_them(second: str) -> None:
    lines = [
        'a: f32[S] = opaque(x, name="p")',
        f'b: f32[{second}] = opaque(x, name="q")',
    ]
    one, other = (
        key("\n".join(["input x: f32[T]", *order, "return a, b", ""]))
        for order in (lines, lines[::-1])
    )
    assert one == other


def test_whether_opaque_nodes_have_a_size_in_common_counts() -> None:
    first, second = 'a: f32[S] = opaque(x, name="p")', 'b: f32[S] = opaque(x, name="q")'
    apart = second.replace("S", "U")
    one, other = (
        key(f"input x: f32[T]\n{first}\n{line}\nreturn a, b\n") for line in (second, apart)
    )
    assert one != other


def test_the_new_value_of_an_input_counts() -> None:
    text = "updated c: f32[T, 64]\ny = softmax(c)\nz = mul(c, by=2.0)\n"
    assert key(text + "return y -> c, z\n") != key(text + "return y, z -> c\n")


def test_the_package_in_another_place_makes_the_same_keys(tmp_path: Path) -> None:
    there = tmp_path / "another place" / "fusible"
    shutil.copytree(
        Path(fusible.__file__).parent,
        there,
        ignore=shutil.ignore_patterns("__pycache__", "_core*so"),
    )
    shutil.copy(_core.__file__, there)
    code = (
        "import fusible; print(fusible.__file__); "
        f"graph = fusible.Graph.parse({GRAPH!r}); "
        "print(graph.key(), fusible.optimize(graph).key)"
    )
    # Without the site module, since an editable installation takes the name from there.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=os.environ | {"PYTHONPATH": ":".join([str(there.parent), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    file, keys = done.stdout.splitlines()
    assert Path(file).parent == there
    graph = fusible.Graph.parse(GRAPH)
    assert keys == f"{graph.key()} {fusible.optimize(graph).key}"
