"""The front of DeepSeek-V3.2's attention block, up to the two projections of its latent query."""

from __future__ import annotations

import dataclasses

import fusible
from fusible import ops
from fusible.models.config import LatentConfig, check_layers
from fusible.models.linear import Format, Tensor, Weight, linear


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentFront:
    """Residual add, norm, the joint down-projection, the query norm, and its two up-projections.

    With fp8 the query norm feeds two equal group quantizations: the heads' projection takes the
    rows as they are, [T, query_rank], the indexer takes them as a batch of one sequence, [1, T,
    query_rank]. `layers` fronts stand one behind the other by the residual stream alone.
    """

    config: LatentConfig
    form: Format = dataclasses.field(default_factory=Format)
    layers: int = 1

    def __post_init__(self) -> None:
        check_layers(self.config, self.layers)

    @property
    def depth(self) -> int:
        """How many fronts are built."""
        return self.layers or 1

    def weights(self) -> dict[str, Weight]:
        """Every weight by name; linear weights are [outputs, inputs]."""
        c = self.config
        down = c.query_rank + c.kv_rank + c.rope_head_size
        heads = c.heads * (c.nope_head_size + c.rope_head_size)
        one = {
            "input_norm": Weight((c.hidden,), "norm"),
            "qkv_a": Weight((down, c.hidden), "linear"),
            "q_norm": Weight((c.query_rank,), "norm"),
            "q_b": Weight((heads, c.query_rank), "linear"),
            "index_q": Weight((c.index_heads * c.index_head_size, c.query_rank), "linear"),
        }
        layers = range(self.depth)
        return {f"layers.{i}.{name}": weight for i in layers for name, weight in one.items()}

    def specs(self) -> dict[str, fusible.Spec]:
        """`hidden` and `residual` [T, hidden], and the weights as constants."""
        text = f"{self.form.dtype}[T, {self.config.hidden}]"
        specs = {"hidden": fusible.spec(text), "residual": fusible.spec(text)}
        for name, weight in self.weights().items():
            for part, spec in weight.specs(name, self.form).items():
                specs[part] = fusible.spec(spec, constant=True)
        return specs

    def trace(self) -> fusible.Graph:
        """The graph: for each front q, index_q and kv, then the residual."""
        return fusible.trace(self.forward, **self.specs())

    def forward(self, **values: Tensor) -> tuple[Tensor, ...]:
        """Runs on arrays, or records; values by the names of `specs`."""
        x, residual = values["hidden"], values["residual"]
        results: list[Tensor] = []
        for layer in range(self.depth):
            prefix = f"layers.{layer}."
            local = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
            residual = ops.add(x, residual)
            y = ops.rms_norm(residual, local["input_norm"], eps=self.config.eps)
            results += self._projections(y, local)
        return *results, residual

    def _projections(self, y: Tensor, v: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        c = self.config
        down = linear(y, v, "qkv_a", self.form)
        query = ops.slice(down, dim=-1, start=0, stop=c.query_rank)
        end = c.query_rank + c.kv_rank + c.rope_head_size
        kv = ops.slice(down, dim=-1, start=c.query_rank, stop=end)
        query = ops.rms_norm(query, v["q_norm"], eps=c.eps)
        q = linear(query, v, "q_b", self.form)
        batch = ops.reshape(query, shape=[1, -1, c.query_rank])
        return q, linear(batch, v, "index_q", self.form), kv
