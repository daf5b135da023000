"""Weights in the package's names and layout: from GGUF, from safetensors, or seeded."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from fusible.models.config import Config, inverse_frequencies
from fusible.models.decoder import Decoder
from fusible.models.formats import GGUF_NAMES, SAFETENSORS_NAMES, from_gguf, from_hugging_face
from fusible.models.latent import LatentFront
from fusible.models.linear import WEIGHT_BLOCK, Weight

Array = NDArray[Any]
Weights = dict[str, Array]

DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
}
# The largest code that is used; e4m3fnuz reaches 240, and 224 is what engines on such hardware
# take.
FP8_MAX = {"e4m3fn": 448.0, "e4m3fnuz": 224.0}


class WeightsError(ValueError):
    """A weight file that cannot be used; the message names the file and the tensor."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The tensors of a model file: `names` leads from our names to theirs, `{}` for the layer.

    Several names are one weight of ours, row by row. `read` gives a tensor as f32 in the layout of
    our weights, and None where the file has no such tensor. `field` gives a value of the file's
    metadata (GGUF), None where there is none.
    """

    path: Path
    config: Config
    names: Mapping[str, tuple[str, ...]]
    read: Callable[[str], Array | None]
    field: Callable[[str], Any]

    def parts(self, name: str) -> tuple[str, ...]:
        """What the file calls the parts of one of our weights."""
        if not name.startswith("layers."):
            return self.names[name]
        _, layer, local = name.split(".", 2)
        return tuple(part.format(layer) for part in self.names[local])

    def weight(self, name: str, shape: tuple[int, ...]) -> Array:
        """One weight of ours as f32; WeightsError where a part is missing or has another shape."""
        parts = self.parts(name)
        arrays = []
        for part in parts:
            array = self.read(part)
            if array is None:
                raise WeightsError(f"{self.path}: {part}: expected a tensor, got none")
            arrays.append(array)
        if len({array.shape[1:] for array in arrays}) == 1:
            whole = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            if whole.shape == shape:
                return whole
        got = " + ".join(str(list(array.shape)) for array in arrays)
        raise WeightsError(f"{self.path}: {', '.join(parts)}: expected {list(shape)}, got {got}")


def load_gguf(path: Path) -> Source:
    """Opens a GGUF file (llama, qwen2, qwen3, gemma2) through the `gguf` package.

    Raises WeightsError that names the file and what is wrong with it.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        tensor = _first_past_end(path)
        raise WeightsError(
            f"{path}: {tensor or f'not a GGUF file that can be read: {error}'}"
        ) from None
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def field(key: str) -> Any:
        return reader.fields[key].contents() if key in reader.fields else None

    config, undo = from_gguf(path, field, tensors.keys())

    def read(name: str) -> Array | None:
        if name not in tensors:
            return None
        try:
            data = gguf.dequantize(tensors[name].data, tensors[name].tensor_type)
        except NotImplementedError as error:
            raise WeightsError(f"{path}: {name}: {error}") from None
        return undo(name, data.astype(np.float32, copy=False))

    factors = read("rope_freqs.weight")
    if factors is not None:
        config = dataclasses.replace(config, rope_factors=tuple(map(float, factors)))
    return Source(path, config, GGUF_NAMES[config.norm], read, field)


def _first_past_end(path: Path) -> str:
    """What to say of a file that ends before its tensors do, or nothing."""
    import gguf

    size, past = path.stat().st_size, [""]

    def check(_: object, start: int, fields: list[Any]) -> None:
        for field in fields:
            _, name, _, dims, kind, offset = field.parts
            block, width = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind[0])]
            end = start + int(offset[0]) + math.prod(map(int, dims)) * width // block
            if end > size and not past[0]:
                text = bytes(name).decode("utf-8", "replace")
                past[0] = f"{text}: expected {end} bytes in the file, got {size}"

    # The reader's last part, which fails with no name, is replaced by the check.
    headers = type("Headers", (gguf.GGUFReader,), {"_build_tensors": check})
    try:
        headers(path)
    except (ValueError, IndexError, KeyError, OverflowError):
        return ""
    return past[0]


def load_safetensors(folder: Path) -> Source:
    """Opens a folder of safetensors files with `config.json` (llama, qwen2, qwen3, gemma2).

    Raises WeightsError that names the file and what is wrong with it.
    """
    import safetensors

    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(f"{path}: expected the model's configuration, got no file")
    config = from_hugging_face(path, _json(path))
    where: dict[str, Any] = {}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder}: expected *.safetensors, got none")
    for file in files:
        try:
            handle: Any = safetensors.safe_open(file, "np")
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: {error}") from None
        where |= dict.fromkeys(handle.keys(), handle)

    def read(name: str) -> Array | None:
        return where[name].get_tensor(name).astype(np.float32) if name in where else None

    return Source(folder, config, SAFETENSORS_NAMES[config.norm], read, lambda key: None)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: expected JSON, got something else: {error}") from None


def load(path: str | Path) -> Source:
    """Opens a GGUF file, or a folder of safetensors. WeightsError where it is neither."""
    path = Path(path)
    if path.is_dir():
        return load_safetensors(path)
    if not path.is_file():
        raise WeightsError(f"{path}: expected a .gguf file or a folder of safetensors, got no file")
    return load_gguf(path)


def read_weights(decoder: Decoder, source: Source) -> Iterator[tuple[str, Array]]:
    """Each weight of the decoder (unquantized), in its dtype, one after the other."""
    dtype = DTYPES[decoder.form.dtype]
    for name, weight in decoder.weights().items():
        if weight.role == "table":
            yield name, rotary_table(decoder.config, decoder.context)
        else:
            yield name, source.weight(name, weight.shape).astype(dtype)


def rotary_table(config: Config, context: int) -> Array:
    """f32 [context, rotary]: the cosines of a position's angles, then the sines."""
    frequencies = np.array(inverse_frequencies(config))
    if config.rope_factors:
        frequencies /= np.array(config.rope_factors)
    angles = np.arange(context)[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def quantize(model: Decoder | LatentFront, weights: Weights) -> Iterator[tuple[str, Array]]:
    """The weights of an fp8 model from those of the plain one: codes and their `.scale`."""
    for name, weight in model.weights().items():
        if weight.role == "linear":
            codes, scales = quantize_blocks(weights[name], model.form.fp8)
            yield name, codes
            yield f"{name}.scale", scales
        elif weight.role == "bias":
            yield name, weights[name].astype(np.float32)
        else:
            yield name, weights[name]


def quantize_blocks(weight: Array, fp8: str) -> tuple[Array, Array]:
    """Block-fp8: weight [N, K] -> codes [N, K] and f32 scales [ceil(N/128), ceil(K/128)].

    A block's scale is its largest magnitude over the largest code, so that code * scale ~ weight.
    """
    rows, columns = weight.shape
    codes = np.empty(weight.shape, DTYPES[fp8])
    scales = np.empty([math.ceil(n / WEIGHT_BLOCK) for n in weight.shape], np.float32)
    starts = np.arange(0, columns, WEIGHT_BLOCK)
    for index, start in enumerate(range(0, rows, WEIGHT_BLOCK)):
        stripe = weight[start : start + WEIGHT_BLOCK].astype(np.float32)
        amax = np.maximum.reduceat(np.abs(stripe).max(axis=0), starts)
        scale = np.maximum(amax, np.float32(1e-10)) / np.float32(FP8_MAX[fp8])
        stripe /= np.repeat(scale, WEIGHT_BLOCK)[:columns]
        codes[start : start + WEIGHT_BLOCK] = stripe.astype(DTYPES[fp8])
        scales[index] = scale
    return codes, scales


def seeded(model: Decoder | LatentFront, seed: int = 0) -> Iterator[tuple[str, Array]]:
    """Weights of the right sizes and scales, the same for the same seed; for timing and for tests.

    Matrices take their values from one pool of normal numbers whose length is a prime, so that no
    two rows are alike: drawing 200 million numbers for a block of 9 billion parameters would take
    longer than running it.
    """
    rng = np.random.default_rng(seed)
    pool = rng.standard_normal(1_000_003, dtype=np.float32)
    dtype = DTYPES[model.form.dtype]
    for name, weight in model.weights().items():
        yield name, _seeded_weight(model, weight, rng, pool, dtype)


def _seeded_weight(
    model: Decoder | LatentFront,
    weight: Weight,
    rng: np.random.Generator,
    pool: Array,
    dtype: np.dtype[Any],
) -> Array:
    if weight.role == "table":
        assert isinstance(model, Decoder)
        return rotary_table(model.config, model.context)
    if weight.role in ("norm", "bias"):
        centre = (
            1.0 if weight.role == "norm" and getattr(model.config, "norm", "rms") == "rms" else 0.0
        )
        return (centre + 0.1 * rng.standard_normal(weight.shape)).astype(dtype)
    scaled = (np.roll(pool, int(rng.integers(pool.size))) * weight.shape[-1] ** -0.5).astype(dtype)
    return np.resize(scaled, weight.shape)
