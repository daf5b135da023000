"""Published configurations, and what is wrong with those of users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fusible.models import Config, Decoder, LatentConfig, LatentFront, load_config, names
from fusible.models.config import inverse_frequencies
from fusible.models.formats import from_hugging_face

# Billions of parameters as the model cards state them.
PUBLISHED = {
    "smollm2-135m": 0.1345,
    "llama-3.1-8b": 8.03,
    "qwen3-8b": 8.19,
    "qwen2.5-7b": 7.62,
    "gemma-2-9b": 9.24,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_add_up_to_the_published_number_of_parameters(name: str) -> None:
    config = load_config(name)
    assert isinstance(config, Config)
    assert config.parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=0.002)


def test_every_bundled_configuration_loads_under_its_own_name() -> None:
    assert {*PUBLISHED, "deepseek-v3.2"} == set(names())
    for name in names():
        assert load_config(name).name == name


def test_deepseek_has_the_sizes_of_its_latent_query() -> None:
    config = load_config("deepseek-v3.2")
    assert isinstance(config, LatentConfig)
    assert (config.hidden, config.query_rank, config.index_heads) == (7168, 1536, 64)


def test_long_context_scaling_keeps_fast_pairs_and_slows_slow_ones() -> None:
    config = load_config("llama-3.1-8b")
    assert isinstance(config, Config)
    turns = [8192 * f / 6.283185307179586 for f in inverse_frequencies(config)]
    for factor, turned in zip(config.rope_factors, turns, strict=True):
        assert 1.0 <= factor <= 8.0
        assert (factor == 1.0) == (turned >= 4.0)
        assert (factor == pytest.approx(8.0)) == (turned <= 1.0)


def test_gemma_alternates_its_window() -> None:
    config = load_config("gemma-2-9b")
    assert isinstance(config, Config)
    assert [config.layer_window(layer) for layer in range(3)] == [4096, 0, 4096]


WRONG = {
    "heads = 3": "heads: expected a multiple of kv_heads = 2, got 3",
    "hidden = 0": "hidden: expected at least 1, got 0",
    "rotary_size = 7": "rotary_size: expected an even size up to 16, got 7",
    "colour = 1": "got colour",
    "norm = 3": "norm: expected",
    'norm = "layer"': "norm: expected",
    "layers = 1.5": "layers: expected int, got 1.5",
    "hidden = true": "hidden: expected int, got True",
    "tied = 1": "tied: expected bool, got 1",
    "rope_factors = 3": "rope_factors: expected tuple[float, ...], got 3",
    "rope_scaling = 3": "rope_scaling: expected a table, got 3",
    'rope_scaling = {rope_type = "llama3"}': "rope_scaling: low_freq_factor: expected a number",
    'rope_scaling = {type = "linear", factor = 0}': "rope_scaling: factor: expected a number above",
    "eps = ": "mine.toml",
}


@pytest.mark.parametrize(("line", "message"), WRONG.items())
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, line: str, message: str) -> None:
    sizes = {"hidden": 64, "heads": 4, "kv_heads": 2, "head_size": 16, "intermediate": 96}
    sizes |= {"layers": 2, "vocab": 50}
    sizes.pop(line.split(maxsplit=1)[0], None)
    text = 'name = "mine"\n' + "".join(f"{k} = {v}\n" for k, v in sizes.items()) + line + "\n"
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="mine") as caught:
        load_config(path)
    assert message in str(caught.value)


def test_a_missing_size_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n')
    with pytest.raises(ValueError, match=r"mine\.toml: hidden: expected a value, got none"):
        load_config(path)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"llama-3\.1-8b.*got llama-9"):
        load_config("llama-9")


@pytest.mark.parametrize("layers", [-1, 33])
def test_a_model_has_no_more_layers_than_it_has(layers: int) -> None:
    config = load_config("llama-3.1-8b")
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match=r"llama-3\.1-8b: layers: expected 1 to 32, got"):
        Decoder(config=config, layers=layers)
    assert (Decoder(config=config).depth, Decoder(config=config, layers=32).depth) == (32, 32)
    latent = load_config("deepseek-v3.2")
    assert isinstance(latent, LatentConfig)
    with pytest.raises(ValueError, match="layers: expected 1 to 61, got 62"):
        LatentFront(config=latent, layers=62)


LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 50,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": "x"}, "num_attention_heads: expected a whole number from 1, got"),
        ({"num_attention_heads": 0}, "num_attention_heads: expected a whole number from 1, got 0"),
        ({"hidden_size": -64}, "hidden_size: expected a whole number from 1, got -64"),
        ({"hidden_size": True}, "hidden_size: expected a whole number from 1, got True"),
        ({"hidden_size": None}, "hidden_size: expected a whole number from 1, got none"),
        ({"num_key_value_heads": 3}, "heads: expected a multiple of kv_heads = 3, got 4"),
        ({"rms_norm_eps": "1e-6"}, "rms_norm_eps: expected a number from 0, got '1e-6'"),
        ({"rope_theta": float("nan")}, "rope_theta: expected a number from 0, got nan"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings: expected true or false, got 1"),
        ({"rope_scaling": [1]}, "rope_scaling: expected an object, got"),
        ({"rope_scaling": {"type": "llama3"}}, "low_freq_factor: expected a number above 0, got"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling: expected llama3 or linear, got yarn"),
        ({"model_type": ["llama"]}, "architecture: expected one of llama"),
    ],
)
def test_a_wrong_config_json_is_named_with_its_key(change: dict[str, Any], message: str) -> None:
    path = Path("models/mine/config.json")
    assert from_hugging_face(path, LLAMA).kv_heads == 4
    with pytest.raises(ValueError, match="config") as caught:
        from_hugging_face(path, LLAMA | change)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("table", [[1], "text", None, 3])
def test_a_config_json_is_an_object(table: Any) -> None:
    with pytest.raises(ValueError, match=r"mine/config\.json: expected a JSON object, got"):
        from_hugging_face(Path("mine/config.json"), table)
