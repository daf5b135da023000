"""One builder for the decoder blocks of all models; it runs on arrays and on traces."""

from __future__ import annotations

import dataclasses

import fusible
from fusible import ops
from fusible.models.config import BLOCK, Config, check_layers
from fusible.models.linear import Format, Tensor, Weight, linear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoder:
    """The forward pass of a model over a paged key/value cache.

    Sizes in the specs: T tokens of all sequences together, S sequences, M blocks at most for one
    sequence, B blocks in the cache, R rows whose logits are wanted.

    `layers` cuts the model to its first layers (0: all). With `head=False` there are only the
    blocks: the inputs are `hidden` and `residual` [T, hidden] and the results their new values, as
    one piece of a pipeline sees it. `context` is the number of positions that the rotary table
    holds.
    """

    config: Config
    form: Format = dataclasses.field(default_factory=Format)
    layers: int = 0
    head: bool = True
    context: int = 2048

    def __post_init__(self) -> None:
        check_layers(self.config, self.layers)

    @property
    def depth(self) -> int:
        """How many layers are built."""
        return self.layers or self.config.layers

    def weights(self) -> dict[str, Weight]:
        """Every weight by name, in the order of its use; linear weights are [outputs, inputs]."""
        c = self.config
        found = {"embed": Weight((c.vocab, c.hidden), "embedding")} if self.head else {}
        found["cos_sin"] = Weight((self.context, c.rotary), "table")
        for layer in range(self.depth):
            for name, weight in self._layer_weights().items():
                found[f"layers.{layer}.{name}"] = weight
        if self.head:
            found["final_norm"] = Weight((c.hidden,), "norm")
        if self.head and not c.tied:
            found["lm_head"] = Weight((c.vocab, c.hidden), "embedding")
        return found

    def _layer_weights(self) -> dict[str, Weight]:
        c = self.config
        queries, width = c.heads * c.head_size, (c.heads + 2 * c.kv_heads) * c.head_size
        norm = Weight((c.hidden,), "norm")
        found = {"attn_norm": norm, "qkv": Weight((width, c.hidden), "linear")}
        if c.qkv_bias:
            found["qkv.bias"] = Weight((width,), "bias")
        if c.qk_norm:
            found["q_norm"] = found["k_norm"] = Weight((c.head_size,), "norm")
        found["out"] = Weight((c.hidden, queries), "linear")
        if c.post_norms:
            found["attn_post_norm"] = norm
        found["mlp_norm"] = norm
        found["gate_up"] = Weight((2 * c.intermediate, c.hidden), "linear")
        found["down"] = Weight((c.hidden, c.intermediate), "linear")
        if c.post_norms:
            found["mlp_post_norm"] = norm
        return found

    def specs(self) -> dict[str, fusible.Spec]:
        """The inputs by name: those of the call, weights (constant), caches (updated)."""
        c = self.config
        call = {"ids": "i64[T]"}
        if not self.head:
            call = {name: f"{self.form.dtype}[T, {c.hidden}]" for name in ("hidden", "residual")}
        call |= {"positions": "i64[T]", "slots": "i64[T]", "block_table": "i32[S, M]"}
        call |= {"query_start": "i32[S+1]", "lengths": "i32[S]"}
        if self.head:
            call["last"] = "i64[R]"
        specs = {name: fusible.spec(text) for name, text in call.items()}
        for name, weight in self.weights().items():
            for part, text in weight.specs(name, self.form).items():
                specs[part] = fusible.spec(text, constant=True)
        cache = f"{self.form.dtype}[B, {BLOCK}, {c.kv_heads}, {c.head_size}]"
        for layer in range(self.depth):
            for name in ("k_cache", "v_cache"):
                specs[f"layers.{layer}.{name}"] = fusible.spec(cache, updated=True)
        return specs

    def trace(self) -> fusible.Graph:
        """The graph: logits [R, vocab] (without a head: hidden, residual), then the caches."""
        return fusible.trace(self.forward, **self.specs())

    def forward(self, **values: Tensor) -> tuple[Tensor, ...]:
        """Runs the blocks on arrays, or records them; values by the names of `specs`."""
        x: Tensor = values.get("hidden")
        residual: Tensor = values.get("residual")
        if self.head:
            x = ops.embedding(values["ids"], values["embed"])
            if self.config.embedding_scale != 1.0:
                x = ops.mul(x, by=self.config.embedding_scale)
        caches: list[Tensor] = []
        for layer in range(self.depth):
            x, residual = self._layer(layer, x, residual, values, caches)
        if not self.head:
            return x, residual, *caches
        y = self._norm(ops.add(x, residual), values["final_norm"])
        rows = ops.embedding(values["last"], y)
        return ops.matmul(rows, values["embed" if self.config.tied else "lm_head"]), *caches

    def _layer(
        self,
        layer: int,
        x: Tensor,
        residual: Tensor,
        values: dict[str, Tensor],
        caches: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        # The sum of the residual stream is written right before each norm, where it fuses with the
        # norm.
        prefix = f"layers.{layer}."
        local = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        local |= {k: v for k, v in values.items() if not k.startswith("layers.")}
        total = x if residual is None else ops.add(x, residual)
        y = self._norm(total, local["attn_norm"])
        x, *updated = self._attention(layer, y, local)
        caches += updated
        if self.config.post_norms:
            x = self._norm(x, local["attn_post_norm"])
        total = ops.add(x, total)
        x = self._mlp(self._norm(total, local["mlp_norm"]), local)
        if self.config.post_norms:
            x = self._norm(x, local["mlp_post_norm"])
        return x, total

    def _attention(
        self, layer: int, y: Tensor, v: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        c = self.config
        q, k, value = self._heads(linear(y, v, "qkv", self.form))
        if c.qk_norm:
            q, k = self._norm(q, v["q_norm"]), self._norm(k, v["k_norm"])
        q = ops.rotary_embedding(q, v["positions"], v["cos_sin"], style=c.rope_style)
        k = ops.rotary_embedding(k, v["positions"], v["cos_sin"], style=c.rope_style)
        keys, vals = ops.kv_cache_update(k, value, v["slots"], v["k_cache"], v["v_cache"])
        y = ops.attention(
            q,
            keys,
            vals,
            v["block_table"],
            v["query_start"],
            v["lengths"],
            scale=c.scale,
            window=c.layer_window(layer),
            softcap=c.attention_softcap,
        )
        y = ops.reshape(y, shape=[0, c.heads * c.head_size])
        return linear(y, v, "out", self.form), keys, vals

    def _heads(self, qkv: Tensor) -> list[Tensor]:
        """Splits [T, (heads + 2 kv_heads) * head_size] into q, k, v: [T, heads, head_size]."""
        c = self.config
        parts, start = [], 0
        for heads in (c.heads, c.kv_heads, c.kv_heads):
            stop = start + heads * c.head_size
            part = ops.slice(qkv, dim=-1, start=start, stop=stop)
            parts.append(ops.reshape(part, shape=[0, heads, c.head_size]))
            start = stop
        return parts

    def _mlp(self, y: Tensor, v: dict[str, Tensor]) -> Tensor:
        gated = linear(y, v, "gate_up", self.form)
        activate = ops.silu_and_mul if self.config.activation == "silu" else ops.gelu_tanh_and_mul
        return linear(activate(gated), v, "down", self.form)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        norm = ops.rms_norm if self.config.norm == "rms" else ops.gemma_rms_norm
        return norm(x, weight, eps=self.config.eps)
