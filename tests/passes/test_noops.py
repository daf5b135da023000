"""canonicalize takes away what changes nothing, and only where that is proven.

What others call no-op elimination and clone elimination. There is no operator that clones: a copy
is a cast to the dtype that a value has, or a view of its own shape.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import fusible
from fusible.checks import Bits
from support.graphs import bits

TYPE = "bf16[6*T, 4, 64]"


def canonical(lines: str, type: str = TYPE) -> list[str]:
    """The nodes that are left between an input and a softmax, as text; bits are the same."""
    graph = fusible.Graph.parse(f"input x: {type}\n{lines}\nout = softmax(y)\nreturn out\n")
    result = fusible.PassManager("canonicalize,drop-dead").run(graph).graph
    assert Bits(graph)(result)
    return [line for line in str(result).splitlines()[1:-2]]


@pytest.mark.parametrize(
    "line",
    [
        "y = reshape(x, shape=[0, 0, 0])",
        "y = reshape(x, shape=[-1, 4, 64])",  # the size inferred for -1 is 6*T
        "y = reshape(x, shape=[0, -1, 64])",
        "y = slice(x, dim=1, start=0, stop=4)",
        "y = slice(x, dim=-1, stop=64)",
        "y = transpose(x, dims=[0, 1, 2])",
        "y = cast(x, dtype=bf16)",
    ],
)
def test_what_is_its_operand_goes(line: str) -> None:
    assert canonical(line) == []


@pytest.mark.parametrize(
    "lines",
    [
        "a = reshape(x, shape=[-1, 256])\ny = reshape(a, shape=[-1, 4, 64])",
        "a = reshape(x, shape=[2, -1, 256])\nb = reshape(a, shape=[-1, 64])\n"
        "y = reshape(b, shape=[-1, 4, 64])",
        "a = transpose(x, dims=[1, 0, 2])\ny = transpose(a, dims=[1, 0, 2])",
        "a = transpose(x, dims=[2, 0, 1])\ny = transpose(a, dims=[1, 2, 0])",
        "a = transpose(x, dims=[0, 1, 2])\nb = cast(a, dtype=bf16)\ny = slice(b, dim=1, stop=4)",
        "a = transpose(x, dims=[1, 0, 2])\nb = slice(a, dim=0, stop=4)\n"
        "y = transpose(b, dims=[1, 0, 2])",
    ],
)
def test_what_together_is_the_operand_goes(lines: str) -> None:
    assert canonical(lines) == []


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("a = reshape(x, shape=[-1, 64])\ny = reshape(a, shape=[-1, 2, 64])", "[-1, 2, 64]"),
        ("a = transpose(x, dims=[1, 0, 2])\ny = transpose(a, dims=[0, 2, 1])", "[1, 2, 0]"),
    ],
)
def test_two_views_that_change_something_are_one(lines: str, left: str) -> None:
    [line] = canonical(lines)
    assert line.endswith(f"={left})")


@pytest.mark.parametrize(
    "line",
    [
        "y = slice(x, dim=1, stop=3)",  # one short of all
        "y = slice(x, dim=1, start=1, stop=4)",
        "y = slice(x, dim=-1, stop=63)",
        "y = reshape(x, shape=[-1, 2, 128])",
        "y = cast(x, dtype=f32)",
    ],
)
def test_what_changes_something_stays(line: str) -> None:
    assert len(canonical(line)) == 1


def test_equal_sizes_are_no_proof_that_a_transpose_changes_nothing() -> None:
    [line] = canonical("y = transpose(x, dims=[0, 2, 1])", "bf16[T, 8, 8]")
    assert "transpose" in line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("y = slice(x, dim=1, stop=-1)", "expected 0 <= start <= stop <= 4"),
        ("y = slice(x, dim=0, stop=6)", r"expected a dimension of known size, got 6\*T"),
        ("y = reshape(x, shape=[6, 4, 64])", "expected as many elements"),
    ],
)
def test_what_only_a_call_could_prove_cannot_be_written(line: str, message: str) -> None:
    with pytest.raises(fusible.GraphError, match=message):
        canonical(line)


def test_a_size_that_is_inferred_is_the_one_that_was_there() -> None:
    graph = fusible.Graph.parse(
        'input x: bf16[T, 8]\na: bf16[S, 8] = opaque(x, name="m")\n'
        "b = reshape(a, shape=[-1, 8])\nc = transpose(a, dims=[1, 0])\nreturn b, c\n"
    )
    result = fusible.PassManager("canonicalize").run(graph).graph
    assert str(result).endswith("c = transpose(a, dims=[1, 0])\nreturn a, c\n")


@pytest.mark.parametrize(("narrow", "wide"), [("bf16", "f32"), ("f32", "bf16"), ("f16", "bf16")])
def test_pairs_of_casts_stay(narrow: str, wide: str) -> None:
    """Even to a wider dtype and back: the codes of NaN change."""
    lines = f"a = cast(x, dtype={wide})\ny = cast(a, dtype={narrow})"
    assert len(canonical(lines, f"{narrow}[T, 64]")) == 2


# A copy may go only where nobody sees that it is gone.


def test_a_copy_of_what_is_written_later_keeps_the_old_elements() -> None:
    graph = fusible.Graph.parse(
        "updated k: bf16[2, 64]\ninput x: bf16[2, 64]\n"
        "old = cast(k, dtype=bf16)\nnew = add(k, x)\nreturn old, new -> k\n"
    )
    assert "cast" not in str(fusible.optimize(graph).graph)
    k, x = np.zeros((2, 64), ml_dtypes.bfloat16), np.ones((2, 64), ml_dtypes.bfloat16)
    before = k.copy()
    old, new = fusible.compile(graph)(k=k, x=x)
    assert bits(old) == bits(before)
    assert bits(new) == bits(x)
    assert not np.shares_memory(old, new)


def test_a_copy_that_is_returned_beside_its_source_is_an_array_of_its_own() -> None:
    graph = fusible.Graph.parse(
        "input x: f32[2, 8]\na = softmax(x)\nb = cast(a, dtype=f32)\nreturn a, b, x\n"
    )
    x = np.ones((2, 8), np.float32)
    a, b, same = fusible.compile(graph)(x=x)
    assert bits(a) == bits(b)
    assert not np.shares_memory(a, b)
    assert not np.shares_memory(same, x)


def test_an_opaque_copy_is_not_ours_to_take_away() -> None:
    text = 'input x: f32[T, 8]\ny: f32[T, 8] = opaque(x, name="clone")\nreturn y\n'
    graph = fusible.Graph.parse(text)
    for target in fusible.targets():
        assert fusible.optimize(graph, target).graph == graph


@pytest.mark.parametrize("call", ["softmax(x)", "rms_norm(x, w)"])
def test_equal_copies_are_one_where_no_mutation_is_between(call: str) -> None:
    head = f"input x: f32[T, 8]\nconstant w: f32[8]\na = {call}\n"
    shared = fusible.optimize(fusible.Graph.parse(f"{head}b = {call}\nreturn a, b\n"))
    assert "return a, a" in str(shared.graph)
    parted = f'{head}opaque(x, name="m", mutates=true)\nb = {call}\nreturn a, b\n'
    assert "return a, b" in str(fusible.optimize(fusible.Graph.parse(parted)).graph)


def test_equal_calls_are_one_in_whichever_order_their_operands_stand():
    text = "input x: f32[4]\ninput y: f32[4]\na = add(x, y)\nb = add(y, x)\nreturn a, b\n"
    result = fusible.optimize(fusible.Graph.parse(text), pipeline="share-common")
    assert str(result.graph).endswith("a = add(x, y)\nreturn a, a\n")
