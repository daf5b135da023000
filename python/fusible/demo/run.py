"""The demonstration itself, from weights to text; what it finds goes to a listener and a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import fusible
from fusible import _core
from fusible.compile import compile as compile_graph
from fusible.demo.measure import Machine, Pair, same_bits, times_of
from fusible.demo.subject import Options, Subject, open_subject
from fusible.files import write_whole
from fusible.models.decoder import Decoder
from fusible.models.generate import Session, greedy, perplexity
from fusible.models.text import Text, sample

PERPLEXITY_TOKENS = 256
# Calls whose bits are compared, as (new tokens, tokens in the cache): a prefill that fills no whole
# block of the cache, and the decode step behind it.
COMPARED = ((33, 0), (1, 33))
UNFUSED = "drop-dead"  # a pipeline that leaves every operator as it is


class Listener:
    """Hears what the demonstration does as it goes; this one keeps silent."""

    def stage(self, text: str) -> None:
        """A part begins that may take a while."""

    def subject(self, subject: Subject, target: str) -> None:
        """What is demonstrated is known."""

    def graph(self, name: str, report: dict[str, Any], same: bool) -> None:
        """One graph was fused, compared and timed."""

    def perplexity(self, values: dict[str, float]) -> None:
        """The bundled text was read."""

    def piece(self, text: str) -> None:
        """A piece of the completion; the first is the prompt."""

    def written(self, tokens: int, seconds: float) -> None:
        """The completion is complete."""


def graph_report(result: fusible.Result, times: dict[str, Any] | None = None) -> dict[str, Any]:
    """A result as plain data: the G of `fusible demo --json`, all of `fusible explain --json`."""
    return {
        "operators": {"before": result.operators.before, "after": result.operators.after},
        "fusions": dict(result.fusions),
        "misses": [miss_report(miss) for miss in result.misses],
        "choices": [choice_report(choice) for choice in result.choices],
        "left_out": {one.name: one.left_out for one in result.stats if one.left_out},
        "key": str(result.key),
        "times": times or {},
    }


def miss_report(miss: fusible.Miss) -> dict[str, Any]:
    """A near miss as plain data."""
    return {name: getattr(miss, name) for name in ("rule", "node", "reason", "hint", "saves")}


def choice_report(choice: fusible.Choice) -> dict[str, Any]:
    """A choice between ways to run row operators together, as plain data."""
    return {name: getattr(choice, name) for name in ("kind", "node", "hint", "bytes", "otherwise")}


def run(options: Options, listener: Listener) -> dict[str, Any]:
    """Runs everything and returns the report, the object of `--json`.

    Raises what `open_subject` raises, and fusible's errors for a target that is wrong.
    """
    target = fusible.load_target(options.target)
    listener.stage("opening the model")
    subject = open_subject(options, target.fp8)
    check_text(options, subject)
    listener.subject(subject, target.name)
    report: dict[str, Any] = {"model": subject.name, "target": target.name, "graphs": {}}
    report["same_bits"] = True
    machine = Machine(_core.thread_count())
    pairs: dict[str, Pair] = {}
    for name, model in subject.models.items():
        listener.stage(f"{name}: tracing and fusing")
        graph = model.trace()
        result = fusible.optimize(graph, target)
        pair = pairs[name] = _compile(subject, name, graph, result)
        listener.stage(f"{name}: comparing fused and unfused, bit by bit")
        same = all(same_bits(pair, tokens, past) for tokens, past in COMPARED)
        listener.stage(f"{name}: measuring")
        found = graph_report(result, times_of(pair, machine))
        report["graphs"][name] = found
        report["same_bits"] &= same
        listener.graph(name, found, same)
        _save(options, name, graph, result, found)
    return report | _read_and_write(options, subject, pairs, listener)


def check_text(options: Options, subject: Subject) -> None:
    """ValueError for a prompt or a number of tokens that the subject cannot write from."""
    if subject.text is None:
        return
    prompt, model = len(subject.text.encode(options.prompt)), subject.models["bf16"]
    assert isinstance(model, Decoder)
    if not 1 <= prompt < model.context:
        want = f"1 to {model.context - 1} tokens"
        raise ValueError(f"demo: --prompt: expected {want}, got {prompt}")
    if prompt + options.tokens > model.context:
        want = f"at most {model.context - prompt} behind this prompt"
        raise ValueError(f"demo: --tokens: expected {want}, got {options.tokens}")


def _compile(subject: Subject, name: str, graph: fusible.Graph, result: fusible.Result) -> Pair:
    weights = subject.weights[name]
    unfused = fusible.optimize(graph, result.target, UNFUSED)
    return Pair(
        subject.models[name],
        weights,
        compile_graph(result, weights=weights),
        compile_graph(unfused, weights=weights),
    )


def _save(
    options: Options, name: str, graph: fusible.Graph, result: fusible.Result, found: dict[str, Any]
) -> None:
    if options.save is None:
        return
    options.save.mkdir(parents=True, exist_ok=True)
    write_whole(options.save / f"{name}.before.ir", str(graph))
    write_whole(options.save / f"{name}.after.ir", str(result.graph))
    write_whole(options.save / f"{name}.explain.json", json.dumps(found, indent=2) + "\n")


def _read_and_write(
    options: Options, subject: Subject, pairs: dict[str, Pair], listener: Listener
) -> dict[str, Any]:
    """The parts that need a tokenizer: `text` and `perplexity`, of nothing but None for a block."""
    bf16, fp8 = pairs["bf16"], pairs["fp8"]
    runs = {"bf16": (bf16, bf16.unfused), "fused": (bf16, bf16.fused), "fp8": (fp8, fp8.fused)}
    if subject.text is None:
        return {"text": None, "perplexity": dict.fromkeys(runs)}
    listener.stage("reading the bundled text")
    ids = subject.text.encode(sample())[:PERPLEXITY_TOKENS]
    values = {
        name: perplexity(_session(pair, executable, len(ids)), ids)
        for name, (pair, executable) in runs.items()
    }
    listener.perplexity(values)
    text = "".join(_write(options, subject.text, bf16, listener))
    return {"text": text, "perplexity": values}


def _session(pair: Pair, executable: fusible.Executable, capacity: int) -> Session:
    assert isinstance(pair.model, Decoder)
    return Session(pair.model, executable, capacity)


def _write(options: Options, text: Text, pair: Pair, listener: Listener) -> Iterator[str]:
    prompt = text.encode(options.prompt)
    listener.piece(options.prompt)
    yield options.prompt
    session = _session(pair, pair.fused, len(prompt) + options.tokens)
    start = perf_counter()
    for piece in text.stream(greedy(session, prompt, options.tokens, text.ends)):
        listener.piece(piece)
        yield piece
    listener.written(session.length - len(prompt) + 1, perf_counter() - start)
