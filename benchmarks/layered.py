"""Graphs of any length: layers of fifty nodes, as a serving engine gives them to a compiler."""

from __future__ import annotations

NODES = 50  # of a layer

INPUTS = """\
input x: bf16[T, 1024]
input residual: bf16[T, 1024]
input positions: i64[T]
constant angles: f32[4096, 128]
constant scale: f32[1]
"""

WEIGHTS = """\
constant LAYER.w_in: bf16[1024]
constant LAYER.w_mid: bf16[1024]
constant LAYER.w_out: bf16[1024]
constant LAYER.w_head: bf16[128]
"""

# Norms before fp8 products, of heads and of experts; views that change something and views that do
# not; casts there and back. Products, routing and attention are not ours.
LAYER = """\
LAYER.sum = add(X, R)
LAYER.y = rms_norm(LAYER.sum, LAYER.w_in)
LAYER.yq, LAYER.ys = per_token_group_quant_fp8(LAYER.y)
LAYER.qkv: bf16[T, 1536] = opaque(LAYER.yq, LAYER.ys, name="gemm")
LAYER.q = slice(LAYER.qkv, dim=1, start=0, stop=1024)
LAYER.k = slice(LAYER.qkv, dim=1, start=1024, stop=1280)
LAYER.v = slice(LAYER.qkv, dim=1, start=1280, stop=1536)
LAYER.qh = reshape(LAYER.q, shape=[0, 8, 128])
LAYER.kh = reshape(LAYER.k, shape=[0, 2, 128])
LAYER.vh = reshape(LAYER.v, shape=[0, 2, 128])
LAYER.qn = rms_norm(LAYER.qh, LAYER.w_head)
LAYER.kn = rms_norm(LAYER.kh, LAYER.w_head)
LAYER.qr = rotary_embedding(LAYER.qn, positions, angles)
LAYER.kr = rotary_embedding(LAYER.kn, positions, angles)
LAYER.qf = reshape(LAYER.qr, shape=[0, 1024])
LAYER.kf = reshape(LAYER.kr, shape=[0, 256])
LAYER.vf = reshape(LAYER.vh, shape=[0, 256])
LAYER.a: bf16[T, 1024] = opaque(LAYER.qf, LAYER.kf, LAYER.vf, name="attention", mutates=true)
LAYER.ah = reshape(LAYER.a, shape=[0, 8, 128])
LAYER.af = reshape(LAYER.ah, shape=[0, 1024])
LAYER.aq, LAYER.as = per_token_group_quant_fp8(LAYER.af)
LAYER.o: bf16[T, 1024] = opaque(LAYER.aq, LAYER.as, name="gemm")
LAYER.mid = add(LAYER.o, LAYER.sum)
LAYER.z = rms_norm(LAYER.mid, LAYER.w_mid)
LAYER.zq, LAYER.zs = per_token_group_quant_fp8(LAYER.z)
LAYER.routed: bf16[T, 64] = opaque(LAYER.z, name="router")
LAYER.shares = softmax(LAYER.routed)
LAYER.up: bf16[T, 4096] = opaque(LAYER.zq, LAYER.zs, LAYER.shares, name="experts")
LAYER.gate = silu_and_mul(LAYER.up)
LAYER.gq, LAYER.gs = per_token_group_quant_fp8(LAYER.gate)
LAYER.down: bf16[T, 1024] = opaque(LAYER.gq, LAYER.gs, LAYER.shares, name="experts")
LAYER.shared: bf16[T, 2048] = opaque(LAYER.zq, LAYER.zs, name="gemm")
LAYER.sgate = silu_and_mul(LAYER.shared)
LAYER.sq, LAYER.ss = per_token_group_quant_fp8(LAYER.sgate)
LAYER.sdown: bf16[T, 1024] = opaque(LAYER.sq, LAYER.ss, name="gemm")
LAYER.scaled = mul(LAYER.down, by=2.5)
LAYER.both = add(LAYER.scaled, LAYER.sdown)
LAYER.bh = reshape(LAYER.both, shape=[0, 8, 128])
LAYER.bf = reshape(LAYER.bh, shape=[0, 1024])
LAYER.out = add(LAYER.bf, LAYER.mid)
LAYER.n = rms_norm(LAYER.out, LAYER.w_out)
LAYER.nh = reshape(LAYER.n, shape=[0, 8, 128])
LAYER.nq, LAYER.ns = per_token_group_quant_fp8(LAYER.n)
LAYER.e: bf16[T, 2048] = opaque(LAYER.nq, LAYER.ns, name="gemm")
LAYER.eg = gelu_and_mul(LAYER.e)
LAYER.ew = cast(LAYER.eg, dtype=f32)
LAYER.en = cast(LAYER.ew, dtype=bf16)
LAYER.eq = static_quant_fp8(LAYER.en, scale)
LAYER.last: bf16[T, 1024] = opaque(LAYER.eq, LAYER.nh, name="gemm")
LAYER.next = add(LAYER.last, LAYER.bf)
"""


def layered(layers: int) -> str:
    """The text of a graph of that many layers; each reads two results of the one before it."""
    weights, lines, x, residual = [], [], "x", "residual"
    for number in range(layers):
        layer = f"layer{number}"
        weights.append(WEIGHTS.replace("LAYER", layer))
        lines.append(LAYER.replace("(X, R)", f"({x}, {residual})").replace("LAYER", layer))
        x, residual = f"{layer}.next", f"{layer}.out"
    return "".join([INPUTS, *weights, *lines, f"return {x}, {residual}\n"])
