"""What a model looks like: its published numbers, read from TOML, GGUF metadata or config.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from fusible import toml

BLOCK = 16  # positions in one block of the paged key/value cache


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A decoder-only transformer.

    Sizes are counts of elements. `window` is the number of keys that a windowed layer sees (0:
    all); where it is set, every second layer has it, the first one included. A softcap of 0 means
    none. `rope_factors` divides the inverse frequencies of the rotary embedding, one for each pair.
    """

    name: str
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    layers: int
    vocab: int
    eps: float = 1e-6
    norm: Literal["rms", "gemma"] = "rms"
    activation: Literal["silu", "gelu_tanh"] = "silu"
    rope_theta: float = 10000.0
    rope_style: Literal["neox", "interleaved"] = "neox"
    rope_factors: tuple[float, ...] = ()
    rotary_size: int = 0  # 0: the whole head
    query_scale: float = 0.0  # 0: 1/sqrt(head_size)
    qk_norm: bool = False
    qkv_bias: bool = False
    post_norms: bool = False
    tied: bool = False
    window: int = 0
    attention_softcap: float = 0.0
    final_softcap: float = 0.0
    embedding_scale: float = 1.0

    def __post_init__(self) -> None:
        _positive(
            self, "hidden", "heads", "kv_heads", "head_size", "intermediate", "layers", "vocab"
        )
        if self.heads % self.kv_heads:
            raise _bad(self, "heads", f"a multiple of kv_heads = {self.kv_heads}", self.heads)
        if self.rotary % 2 or not 0 < self.rotary <= self.head_size:
            raise _bad(self, "rotary_size", f"an even size up to {self.head_size}", self.rotary)
        if self.rope_factors and len(self.rope_factors) != self.rotary // 2:
            want = f"{self.rotary // 2} factors"
            raise _bad(self, "rope_factors", want, len(self.rope_factors))

    @property
    def rotary(self) -> int:
        """How many elements of a head the rotary embedding turns."""
        return self.rotary_size or self.head_size

    @property
    def scale(self) -> float:
        """What the attention scores are multiplied by."""
        return self.query_scale or self.head_size**-0.5

    def layer_window(self, layer: int) -> int:
        """The window of one layer, 0 for a layer that sees every key."""
        return self.window if layer % 2 == 0 else 0

    @property
    def parameters(self) -> int:
        """How many weights the model has, embeddings counted once where they are tied."""
        qkv = (self.heads + 2 * self.kv_heads) * self.head_size
        attention = self.hidden * (qkv + self.heads * self.head_size)
        block = attention + 3 * self.hidden * self.intermediate
        return self.layers * block + self.vocab * self.hidden * (1 if self.tied else 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """The front of an attention block with latent queries and an indexer, as in DeepSeek-V3.2.

    A query is projected down to `query_rank`, normalized, and projected up twice: to the heads, and
    to the queries of the indexer that picks which keys the attention will see.
    """

    name: str
    hidden: int
    heads: int
    layers: int
    query_rank: int
    kv_rank: int
    rope_head_size: int
    nope_head_size: int
    index_heads: int
    index_head_size: int
    eps: float = 1e-6

    def __post_init__(self) -> None:
        _positive(self, "hidden", "heads", "layers", "query_rank", "kv_rank", "rope_head_size")
        _positive(self, "nope_head_size", "index_heads", "index_head_size")


def _bad(config: Config | LatentConfig, field: str, expected: str, got: object) -> ValueError:
    return ValueError(f"{config.name}: {field}: expected {expected}, got {got}")


def check_layers(config: Config | LatentConfig, layers: int) -> None:
    """ValueError for more layers than the model has; 0 stands for a default."""
    if not 0 <= layers <= config.layers:
        raise _bad(config, "layers", f"1 to {config.layers}", layers)


def _positive(config: Config | LatentConfig, *fields: str) -> None:
    for field in fields:
        if getattr(config, field) < 1:
            raise _bad(config, field, "at least 1", getattr(config, field))


def names() -> list[str]:
    """The models whose published configuration is part of this package."""
    folder = resources.files(__package__) / "configs"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir())


def load_config(name: str | Path) -> Config | LatentConfig:
    """Reads a bundled configuration by name, or a user's own TOML file by path.

    Raises ValueError that lists the names, or names the file and the key that is wrong.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return _from_toml(path.read_text(encoding="utf-8"), str(path))
    if str(name) not in names():
        raise ValueError(f"load_config: name: expected one of {', '.join(names())}, got {name}")
    text = (resources.files(__package__) / "configs" / f"{name}.toml").read_text(encoding="utf-8")
    return _from_toml(text, f"{name}.toml")


def _from_toml(text: str, where: str) -> Config | LatentConfig:
    table = toml.parse(text, where)
    kind = LatentConfig if "query_rank" in table else Config
    scaling = table.pop("rope_scaling", None)
    if not isinstance(scaling, dict | None):
        raise ValueError(f"{where}: rope_scaling: expected a table, got {scaling!r}")
    config = _construct(kind, table, where)
    if scaling is None or isinstance(config, LatentConfig):
        return config
    return dataclasses.replace(config, rope_factors=scaled_frequencies(config, scaling))


def _construct(
    kind: type[Config | LatentConfig], table: dict[str, Any], where: str
) -> Config | LatentConfig:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(table.keys() - fields.keys())
    if unknown:
        raise ValueError(f"{where}: expected one of {', '.join(fields)}, got {unknown[0]}")
    needed = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in table]
    if needed:
        raise ValueError(f"{where}: {needed[0]}: expected a value, got none")
    for key, value in table.items():
        if not _fits(str(fields[key].type), value):
            raise ValueError(f"{where}: {key}: expected {fields[key].type}, got {value!r}")
    return kind(**table)


def _fits(annotation: str, value: Any) -> bool:
    """Whether a value of TOML may stand in a field with this annotation."""
    if annotation.startswith("Literal"):
        return isinstance(value, str) and repr(value) in annotation
    if annotation.startswith("tuple"):
        return isinstance(value, list) and all(_fits("float", item) for item in value)
    types = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
    return type(value) in types[annotation]


def inverse_frequencies(config: Config) -> list[float]:
    """The angle that each pair of a head turns by from one position to the next, unscaled."""
    size = config.rotary
    return [config.rope_theta ** (-2.0 * i / size) for i in range(size // 2)]


def scaled_frequencies(config: Config, scaling: Mapping[str, Any]) -> tuple[float, ...]:
    """Divisors of the inverse frequencies for a longer context (published with Llama 3.1).

    Pairs that turn at least `high_freq_factor` times over the original context stay as they are,
    those that turn at most `low_freq_factor` times are slowed by `factor`, and those between are
    blended.
    """
    kind = scaling.get("rope_type", scaling.get("type"))

    def get(key: str) -> float:
        value: Any = scaling.get(key)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise _bad(config, f"rope_scaling: {key}", "a number above 0", repr(value))
        return float(value)

    if kind == "linear":
        return (get("factor"),) * (config.rotary // 2)
    if kind != "llama3":
        raise _bad(config, "rope_scaling", "llama3 or linear", kind)
    low, high = get("low_freq_factor"), get("high_freq_factor")
    context, factor = get("original_max_position_embeddings"), get("factor")
    if low >= high:
        raise _bad(config, "rope_scaling: high_freq_factor", f"more than {low}", high)
    divisors = []
    for frequency in inverse_frequencies(config):
        turns = context * frequency / (2.0 * math.pi)
        keep = min(max((turns - low) / (high - low), 0.0), 1.0)
        divisors.append(1.0 / (keep + (1.0 - keep) / factor))
    return tuple(divisors)
