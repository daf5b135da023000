"""What a report says about fusions that nearly happened."""

import pytest

import fusible

HEAD = """
input x: bf16[T, 512]
input residual: bf16[T, 512]
constant w: bf16[512]
constant w32: f32[512]
constant scale: f32[1]
constant m: bf16[64, 512]
"""


def misses(body, target="cuda-sm90", pipeline="fuse-ops", head=HEAD):
    result = fusible.optimize(fusible.Graph.parse(head + body), target, pipeline)
    return {(miss.rule, miss.node, miss.reason) for miss in result.misses}, result


def test_extra_user_names_the_reader():
    found, result = misses(
        """y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
z = matmul(y, m)
return q, s, z
"""
    )
    assert found == {("rms_norm_group_quant_fp8", "y", "extra_user")}
    assert "matmul (z)" in result.misses[0].hint


def test_a_result_of_the_graph_is_a_reader():
    found, result = misses(
        "y = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(y)\nreturn q, s, y\n"
    )
    assert found == {("rms_norm_group_quant_fp8", "y", "extra_user")}
    assert result.misses[0].hint == "do not return y from the graph"


def test_a_reader_behind_a_view_counts():
    found, _ = misses(
        """y = rms_norm(x, w)
v = reshape(y, shape=[-1, 8, 64])
q, s = per_token_group_quant_fp8(y)
z = softmax(v)
return q, s, z
"""
    )
    assert found == {("rms_norm_group_quant_fp8", "y", "extra_user")}


def test_view_splits_last_dim():
    found, result = misses(
        """y = rms_norm(x, w)
v = reshape(y, shape=[-1, 4, 128])
q, s = per_token_group_quant_fp8(v)
return q, s
"""
    )
    assert found == {("rms_norm_group_quant_fp8", "v", "view_splits_last_dim")}
    assert "[T, 512] into [T, 4, 128]" in result.misses[0].hint


def test_dtype_names_the_cast_between():
    found, result = misses(
        """y = rms_norm(x, w)
c = cast(y, dtype=f32)
q, s = per_token_group_quant_fp8(c)
return q, s
"""
    )
    assert found == {("rms_norm_group_quant_fp8", "c", "dtype")}
    assert result.misses[0].hint.startswith("take out the cast from bf16 to f32 between rms_norm")


def test_a_group_size_that_the_target_lacks():
    found, result = misses(
        """a = add(x, residual)
y = rms_norm(a, w)
q, s = per_token_group_quant_fp8(y, group_size=32)
return q, s, a
"""
    )
    assert ("rms_norm_group_quant_fp8", "q", "op_variant") in found
    assert result.fusions == {"fused_add_rms_norm": 1}
    assert any("64 or 128" in miss.hint for miss in result.misses)


def test_attr():
    found, result = misses(
        "y = rms_norm(x)\nq, s = per_token_group_quant_fp8(y)\nreturn q, s\n", "rocm-gfx950"
    )
    assert found == {("rms_norm_group_quant_fp8", "y", "attr")}
    assert result.misses[0].hint.startswith("give weight of rms_norm")


@pytest.mark.parametrize(
    ("target", "wrong"), [("rocm-gfx950", "e4m3fnuz"), ("rocm-gfx942", "e4m3fn")]
)
def test_op_variant_names_the_targets_own(target, wrong):
    body = f"y = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(y, dtype={wrong})\nreturn q, s\n"
    found, result = misses(body, target, None)
    assert result.fusions == {}
    assert ("rms_norm_group_quant_fp8", "q", "op_variant") in found
    assert fusible.load_target(target).fp8 + ", which " + target + " has" in result.misses[0].hint


def test_no_kernel():
    found, _ = misses(
        "y = rms_norm(x, w)\nq = static_quant_fp8(y, scale)\nreturn q\n", "musa-s5000"
    )
    assert found == {("rms_norm_static_quant_fp8", "q", "no_kernel")}


def test_claimed_by():
    found, result = misses(
        """sum = add(x, residual)
y = rms_norm(sum, w)
z = rms_norm(sum, w, eps=1e-05)
q, s = per_token_group_quant_fp8(z)
return y, q, s, sum
"""
    )
    assert found == {("fused_add_rms_norm", "sum", "claimed_by")}
    assert "fused_add_rms_norm_group_quant_fp8 (q)" in result.misses[0].hint


def test_order():
    found, _ = misses(
        """y = rms_norm(x, w)
g: f32[1] = opaque(y, name="scale_of")
q = static_quant_fp8(y, g)
return q
"""
    )
    assert found == {("rms_norm_static_quant_fp8", "g", "order")}


def test_what_fused_has_no_misses():
    _, result = misses(
        """sum = add(x, residual)
y = rms_norm(sum, w)
q, s = per_token_group_quant_fp8(y)
return q, s, sum
"""
    )
    assert result.fusions == {"fused_add_rms_norm_group_quant_fp8": 1}
    assert result.misses == []


def test_misses_are_said_once_and_in_order():
    bodies = [
        f"y{i} = rms_norm(x, w, eps=1e-0{i})\nq{i}, s{i} = per_token_group_quant_fp8(y{i})"
        for i in range(1, 6)
    ]
    results = ", ".join(f"q{i}, s{i}, y{i}" for i in range(1, 6))
    body = "\n".join(bodies) + f"\nreturn {results}\n"
    _, once = misses(body)
    _, twice = misses(body, pipeline="fuse-ops,fuse-ops")
    assert [miss.node for miss in once.misses] == [f"y{i}" for i in range(1, 6)]
    assert [repr(miss) for miss in twice.misses] == [repr(miss) for miss in once.misses]


def test_what_saves_most_stands_first():
    _, result = misses(
        """small = rms_norm(x128, w128)
a, b = per_token_group_quant_fp8(small)
sum = add(x, residual)
y = rms_norm(sum, w)
q, s = per_token_group_quant_fp8(y)
return small, a, b, sum, y, q, s
""",
        head=HEAD + "input x128: bf16[T, 128]\nconstant w128: bf16[128]\n",
    )
    found = [(miss.rule, miss.node, miss.saves) for miss in result.misses]
    # A row of y is 1024 bytes: it would neither be written nor read, and sum would not be read.
    assert found == [
        ("fused_add_rms_norm_group_quant_fp8", "y", 3 * 1024),
        ("rms_norm_group_quant_fp8", "y", 2 * 1024),
        ("rms_norm_group_quant_fp8", "small", 2 * 256),
    ]


def test_between_regions_what_is_read_is_saved_and_what_nobody_else_reads():
    body = "y = softmax(x)\nt = transpose(y, dims=[1, 0])\nz = softmax(t)\n"
    (alone,) = misses(f"{body}return z\n", "cpu", None)[1].misses
    (shared,) = misses(f"{body}return z, y\n", "cpu", None)[1].misses
    assert (alone.reason, alone.saves) == ("leading_dims", 2 * 1024)
    assert (shared.reason, shared.saves) == ("leading_dims", 1024)


@pytest.mark.parametrize(("shape", "bytes"), [("T, 512", 2048), ("2*T+1, 512", 3 * 2048)])
def test_a_symbolic_size_counts_one(shape, bytes):
    text = f"""input x: bf16[{shape}]
constant w: bf16[512]
y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
return q, s, y
"""
    (miss,) = fusible.optimize(fusible.Graph.parse(text), "cuda-sm90", "fuse-ops").misses
    assert miss.saves == bytes


def test_savings_of_sizes_that_no_memory_has_are_cut():
    text = f"""input x: bf16[{2**38}, {2**20}]
constant w: bf16[{2**20}]
y = rms_norm(x, w)
q, s = per_token_group_quant_fp8(y)
return q, s, y
"""
    (miss,) = fusible.optimize(fusible.Graph.parse(text), "cuda-sm90", "fuse-ops").misses
    assert miss.saves == 2 * 2**52


def test_expect_shows_the_reasons():
    _, result = misses("y = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(y)\nreturn q, s, y\n")
    with pytest.raises(fusible.Error, match="expected 2, got 0") as error:
        result.expect({"rms_norm_group_quant_fp8": "2*L"}, L=1)
    assert "extra_user" in str(error.value)


def test_expect_shows_the_reasons_of_row_programs():
    body = "y = softmax(x)\nt = transpose(y, dims=[1, 0])\nz = softmax(t)\nreturn z\n"
    _, result = misses(body, "cpu", None)
    with pytest.raises(fusible.Error, match="expected 1, got 0") as error:
        result.expect({"softmax+softmax": 1})
    assert "rows at z: leading_dims" in str(error.value)
    with pytest.raises(fusible.Error) as error:
        misses("y = rms_norm(x, w)\nq, s = per_token_group_quant_fp8(y)\nreturn q, s, y\n")[
            1
        ].expect({"fused_add_rms_norm": 1})
    assert "extra_user" not in str(error.value)
