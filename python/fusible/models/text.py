"""Text to token ids and back, with the tokenizer that a model file carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

    from fusible.models.weights import Source

# How llama.cpp names what happens before byte pairs are merged: words, and numbers by 1 or 3
# digits.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LATER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LATER % "{1,3}",),
    "qwen2": (_LATER % "",),
}
_CONTROL = 3  # the token type of markers such as <|im_end|> in GGUF


class Text:
    """A tokenizer, and the ids that end a text."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, ends: Iterable[int]) -> None:
        self.tokenizer = tokenizer
        self.ends = frozenset(ends)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, without markers before or behind it."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids, without markers."""
        return str(self.tokenizer.decode(list(ids)))

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids piece by piece; a character waits until all of its bytes are there."""
        seen: list[int] = []
        written = ""
        for token in ids:
            seen.append(token)
            text = self.decode(seen)
            if text.endswith("\ufffd"):
                continue
            yield text[len(written) :]
            written = text


def text_of(source: Source) -> Text:
    """The tokenizer of a GGUF file, or of a folder with `tokenizer.json`.

    Raises ValueError that names the file, for a tokenizer that is not byte-pair encoding.
    """
    return _from_folder(source.path) if source.path.is_dir() else _from_gguf(source)


def _from_folder(folder: Path) -> Text:
    import json

    import tokenizers

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{path}: expected the model's tokenizer, got no file")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ends = config.get("eos_token_id")
    ids = ends if isinstance(ends, list) else [ends] if ends is not None else []
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise ValueError(f"{path}: expected a tokenizer, got something else: {error}") from None
    return Text(tokenizer, ids)


def _from_gguf(source: Source) -> Text:
    def get(key: str) -> Any:
        return source.field(f"tokenizer.ggml.{key}")

    kind, split = get("model"), get("pre") or "gpt-2"
    if kind != "gpt2" or split not in _SPLITS:
        want = f"gpt2 with one of {', '.join(_SPLITS)}"
        raise ValueError(
            f"{source.path}: tokenizer.ggml.model: expected {want}, got {kind} with {split}"
        )
    words, types = get("tokens"), get("token_type") or []
    markers = [word for word, kind in zip(words, types, strict=False) if kind == _CONTROL]
    end = get("eos_token_id")
    return Text(byte_pairs(words, get("merges"), split, markers), [] if end is None else [end])


def byte_pairs(
    words: list[str], merges: list[str], split: str, markers: list[str]
) -> tokenizers.Tokenizer:
    """A byte-level BPE tokenizer; `merges` are pairs with a space between, `split` as in GGUF."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {word: index for index, word in enumerate(words)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    steps: list[Any] = [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in _SPLITS[split]
    ]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in markers])
    return tokenizer


def sample() -> str:
    """The text in this package that perplexity is measured on."""
    return (resources.files(__package__) / "data" / "sample.txt").read_text(encoding="utf-8")
