"""What the demonstration's model comes to, exactly: the same on every machine, so once is enough.

Seeded weights stand in for the published ones: nothing counted here looks at a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import fusible
from fusible.demo.subject import block, call_inputs
from fusible.models import Config, Decoder, Format, LatentConfig, config, load_config
from fusible.models import weights as files
from fusible.targets import names as targets

if TYPE_CHECKING:
    from fusible.gate.gauge import Gate

MODEL = "smollm2-135m"
FORMS = {"bf16": Format(), "fp8": Format(quantization="fp8")}
# New tokens and tokens in the cache: a decode step, a prefill, and the step behind the first one,
# for which no plan is made again.
CALLS = {"decode": (1, 128), "prefill": (64, 0), "next": (1, 129)}


def decoder(form: str) -> Decoder:
    """The demonstration's model, all of it."""
    described = load_config(MODEL)
    assert isinstance(described, Config)
    return Decoder(config=described, form=FORMS[form])


@pytest.fixture(scope="module")
def plain() -> files.Weights:
    """Weights of the model in bf16."""
    return dict(files.seeded(decoder("bf16")))


def count_fusions(gate: Gate, result: fusible.Result) -> None:
    """Operators before and after, and how often each fusion was made."""
    gate.count("operators before", result.operators.before)
    gate.count("operators after", result.operators.after)
    for name, times in sorted(result.fusions.items()):
        gate.count(f"fused {name}", times)


@pytest.mark.parametrize("form", FORMS)
def test_the_demo_s_model(gate: Gate, plain: files.Weights, form: str) -> None:
    """All layers with embedding and head, traced, fused, planned and run."""
    model = decoder(form)
    weights = dict(files.quantize(model, plain)) if form == "fp8" else plain
    result = fusible.optimize(model.trace())
    exe = fusible.compile(result, weights=weights)
    gate.scenario = f"{MODEL} {form}"
    count_fusions(gate, result)
    for call, (tokens, past) in CALLS.items():
        steps = exe.profile(**call_inputs(model, tokens, past)).steps
        gate.count(f"{call}: steps", len(steps))
        gate.count(f"{call}: bytes moved", sum(step.bytes for step in steps))
        gate.count(f"{call}: flops", sum(step.flops for step in steps))
        gate.count(f"{call}: arena bytes", exe.arena_bytes)
        gate.count(f"{call}: plans made", exe.plans_made)


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("model", config.names())
def test_blocks_of_published_models(gate: Gate, model: str, target: str) -> None:
    """What fuses in the block of each bundled configuration, for each target."""
    described = load_config(model)
    quantized = isinstance(described, LatentConfig)
    form = Format(quantization="fp8", fp8=fusible.load_target(target).fp8) if quantized else None
    gate.scenario = f"{model} for {target}"
    count_fusions(gate, fusible.optimize(block(described, form=form).trace(), target))
