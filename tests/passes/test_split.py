"""split_at: pieces in order, typed at their borders, equal ones with one key, joined again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible.checks import Bits
from support.random_graphs import graphs
from support.tiny_models import tiny

TEXT = """
input x: bf16[T, 64]
constant w: bf16[64]
updated k: bf16[T, 64]
a = add(x, k)
seen: bf16[T, 64] = opaque(a, name="mine", mutates=true)
n = rms_norm(seen, w)
b = add(n, a)
last: bf16[T, 64] = opaque(b, a, name="mine", mutates=true)
c = softmax(last)
return c, n, b -> k
"""
OPERATORS = ("add", "rms_norm", "softmax", "reshape", "fused_add_rms_norm", "static_quant_fp8")


def parse(text: str) -> fusible.Graph:
    return fusible.Graph.parse(text)


def lines(piece: fusible.Piece) -> list[str]:
    return str(piece.graph).splitlines()


def test_each_cut_is_a_piece_and_so_is_what_stands_between() -> None:
    pieces = fusible.split_at(parse(TEXT), ["mine"])
    assert [piece.at for piece in pieces] == ["", "mine", "", "mine", ""]
    assert [piece.number for piece in pieces] == [*range(5)]
    assert lines(pieces[0]) == [
        "input x: bf16[T, 64]",
        "input k: bf16[T, 64]",
        "a = add(x, k)",
        "return a",
    ]
    assert lines(pieces[2]) == [
        "input seen: bf16[T, 64]",
        "constant w: bf16[64]",
        "input a: bf16[T, 64]",
        "n = rms_norm(seen, w)",
        "b = add(n, a)",
        "return n, b",
    ]
    assert lines(pieces[3])[:2] == ["input b: bf16[T, 64]", "input a: bf16[T, 64]"]
    assert fusible.split_at(parse(TEXT), ["mine"])[1:3] == pieces[1:3]


def test_cuts_beside_each_other_are_pieces_of_their_own() -> None:
    graph = parse("input x: f32[T, 8]\na = softmax(x)\nb = softmax(a)\nreturn b\n")
    pieces = fusible.split_at(graph, ["softmax"])
    assert [piece.at for piece in pieces] == ["softmax", "softmax"]
    assert [piece.same_as for piece in pieces] == [0, 0]
    assert [piece.at for piece in fusible.split_at(graph, ["attention"])] == [""]


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        ("", "updated"),  # the one piece that reads the old value makes the new one
        ("later = softmax(k)\n", "input"),
    ],
)
def test_an_input_is_updated_only_where_nobody_reads_its_old_value_behind(
    reader: str, kind: str
) -> None:
    graph = parse(
        "input x: bf16[T, 64]\nupdated k: bf16[T, 64]\nn = add(x, k)\n"
        'y: bf16[T, 64] = opaque(n, name="mine")\n'
        f"{reader}return n -> k, y{', later' if reader else ''}\n"
    )
    first = fusible.split_at(graph, ["mine"])[0]
    assert f"{kind} k: bf16[T, 64]" in lines(first)
    assert lines(first)[-1] == ("return n -> k" if kind == "updated" else "return n")


def test_an_old_value_that_is_returned_is_not_written() -> None:
    graph = parse("input x: bf16[T, 64]\nupdated k: bf16[T, 64]\nn = add(x, k)\nreturn k, n -> k\n")
    assert "input k: bf16[T, 64]" in lines(fusible.split_at(graph, ["softmax"])[0])


@pytest.mark.parametrize("layers", [2, 5])
def test_equal_layers_are_equal_pieces(layers: int) -> None:
    from fusible.demo.subject import block
    from fusible.models import Format, load_config

    model = block(load_config("llama-3.1-8b"), layers, Format(quantization="fp8"))
    pieces = fusible.split_at(model.trace(), ["attention"])
    assert len(pieces) == 2 * layers + 1
    # In front of the first layer's attention, attention, between two of them, behind the last.
    assert [piece.number for piece in pieces.distinct] == [0, 1, 2, 2 * layers]
    assert [piece.same_as for piece in pieces[:5]] == [0, 1, 2, 1, 2][: 3 if layers == 2 else 5] + (
        [1, 4] if layers == 2 else []
    )
    assert len({str(piece.key) for piece in pieces}) == 4
    results = pieces.optimize("cuda-sm90")
    assert len({id(result) for result in results}) == 4
    assert all(results[piece.number] is results[piece.same_as] for piece in pieces)


def decoder(layers: int, attend: str, norm: str) -> fusible.Graph:
    """Layers of a norm, attention that is told its layer's name, and an addition."""
    lines, x = ["input x0: bf16[T, 64]", "constant w: bf16[64]"], "x0"
    for i in range(layers):
        lines += [
            norm.format(i=i, x=x, eps=1e-5 if i % 4 else 1e-6),
            attend.format(i=i),
            f"x{i + 1} = add(a{i}, {x})",
        ]
        x = f"x{i + 1}"
    return parse("\n".join([*lines, f"return {x}\n"]))


ATTEND = 'a{i}: bf16[T, 64] = opaque(n{i}, name="attention", layer="layers.{i}.attn")'
STORE = 'opaque(n{i}, name="store", layer="layers.{i}.attn", mutates=true)\n' + ATTEND


@pytest.mark.parametrize(
    ("attend", "norm", "kinds"),
    [
        # In front of the first attention, between two, behind the last.
        pytest.param(ATTEND, "n{i} = rms_norm({x}, w)", 3, id="vllm_29992"),
        # The first and last, and between two: the calls that are told a name stand alone.
        pytest.param(STORE, "n{i} = rms_norm({x}, w)", 3, id="vllm_33267"),
        # Every fourth layer is another one.
        pytest.param(ATTEND, "n{i} = rms_norm({x}, w, eps={eps})", 4, id="vllm_26379"),
    ],
)
@pytest.mark.parametrize("layers", [9, 33])
def test_no_kind_of_piece_is_added_by_another_layer(
    attend: str, norm: str, kinds: int, layers: int
) -> None:
    """Names of layers in the pieces made every one a kind of its own: 25 compiled, not 6."""
    graph = decoder(layers, attend, norm)
    pieces = fusible.split_at(graph, ["attention", "store"] if attend == STORE else ["attention"])
    assert len([piece for piece in pieces if not piece.at]) == layers + 1
    assert len([piece for piece in pieces.distinct if not piece.at]) == kinds


@given(graphs(), st.sets(st.sampled_from(OPERATORS), min_size=1))
def test_pieces_join_to_the_graph_and_optimized_ones_to_its_bits(text: str, at: set[str]) -> None:
    graph = parse(text)
    pieces = fusible.split_at(graph, sorted(at))
    for piece in pieces:
        piece.graph.verify()
        assert parse(str(piece.graph)) == piece.graph
        assert (piece.at == "") == all(node.name not in at for node in piece.graph.nodes)
    assert pieces.join() == graph
    assert str(pieces.join().key()) == str(graph.key())
    optimized = pieces.join([result.graph for result in pieces.optimize("cpu")])
    assert Bits(graph)(optimized)


def test_borders_are_typed_alike_on_both_sides() -> None:
    model, _ = tiny("llama")
    pieces = fusible.split_at(model.trace(), ["attention", "kv_cache_update"])
    made = {value.name: value for value in model.trace().inputs}
    for piece in pieces:
        for value in piece.graph.inputs:
            source = made[value.name]
            assert (value.dtype, value.shape) == (source.dtype, source.shape)
        made |= {value.name: value for value in piece.graph.outputs}
    assert {value.name for value in model.trace().outputs} <= {*made}


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([], "at: expected names to cut at, got none"),
        (["attenton"], "of the graph, which has add, mine, rms_norm, softmax; got attenton"),
        (["add", ""], "softmax; got "),
        ("add", "at: expected a list of names, got 'add'"),
    ],
)
def test_what_cannot_be_cut_at_is_refused(at: list[str], message: str) -> None:
    with pytest.raises(fusible.ArgumentError) as error:
        fusible.split_at(parse(TEXT), at)
    assert message in str(error.value)


def test_what_does_not_fit_a_piece_is_refused() -> None:
    pieces = fusible.split_at(parse(TEXT), ["mine"])
    own = [piece.graph for piece in pieces]
    with pytest.raises(fusible.GraphError, match="join: expected 5 graphs, got 4"):
        pieces.join(own[1:])
    with pytest.raises(fusible.GraphError, match="join: piece 0: expected 2 inputs, got 3"):
        pieces.join([own[2], *own[1:]])
    wide = parse("input x: f32[T, 64]\nreturn x\n")
    with pytest.raises(
        fusible.GraphError, match=r"join: piece 4: last: expected bf16\[T, 64\], got f32"
    ):
        pieces.join([*own[:4], wide])


def test_a_graph_without_nodes_has_no_pieces() -> None:
    graph = parse("input x: f32[T, 8]\nreturn x\n")
    pieces = fusible.split_at(graph, ["softmax"])
    assert [*pieces] == []
    assert pieces.join() == graph
