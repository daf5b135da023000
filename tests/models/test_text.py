"""Tokenizers from the metadata of a model file."""

from __future__ import annotations

import pytest

from fusible.models.text import Text, byte_pairs, sample

pytest.importorskip("tokenizers", reason="needs the extra `models`")


def toy(split: str) -> Text:
    """All bytes, three merges, and a marker at the end of the vocabulary."""
    from tokenizers import pre_tokenizers

    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    words += ["th", "the", "Ġthe", "<end>"]
    merges = ["t h", "th e", "Ġ the"]
    return Text(byte_pairs(words, merges, split, ["<end>"]), [len(words) - 1])


@pytest.mark.parametrize("split", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_text_comes_back_whole(split: str) -> None:
    text = toy(split)
    said = "the other the\n\n  1234 “quoted” — ünïcödé 火\t<tag>"
    assert text.decode(text.encode(said)) == said


def test_pairs_are_merged_in_the_order_of_their_list() -> None:
    ids = toy("gpt-2").encode("the the")
    assert len(ids) == 2


def test_markers_are_one_token_and_are_not_decoded() -> None:
    text = toy("smollm")
    ids = text.encode("the<end>")
    assert ids[-1] in text.ends
    assert text.decode(ids) == "the"


def test_a_stream_holds_back_half_a_character() -> None:
    text = toy("gpt-2")
    ids = text.encode("a火b")
    pieces = list(text.stream(iter(ids)))
    assert len(ids) == 5
    assert pieces == ["a", "火", "b"]


def test_the_bundled_text_is_long_enough() -> None:
    assert len(sample().split()) > 350
