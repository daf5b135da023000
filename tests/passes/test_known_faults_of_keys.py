"""Keys that are stale elsewhere, or miss for nothing; passes that nobody can manage or read.

Each test is named after the report.
"""

from __future__ import annotations

import logging
import random
import re
from pathlib import Path
from typing import Any

import pytest

import fusible
from fusible import rules
from fusible.rule_files import read_rules
from support.given_rules import FILE, KERNEL, sharp
from support.known_faults import NORM, PASSES, QUANT, SM90, layers, names, optimized, parse

SHARP_SITE = "n = rms_norm(x, w)\ny = softmax(n)\nreturn y\n"
# Another value for each argument of a target.
FIELDS: dict[str, Any] = {
    "name": "other",
    "pipeline": "fuse-ops,drop-dead",
    "fp8": "e4m3fnuz",
    "scratch_bytes": 1000,
    "all_operators": True,
    "operators": {"add", "rms_norm"},
    "variants": {QUANT: {"group_size": [64]}},
    "capabilities": {"tensor_memory": True},
    "costs": {"recompute": True},
    "uncacheable": {"fuse-ops": "for a test"},
}


def rule_uuid(*given: rules.Rule) -> str:
    return fusible.PassManager(None, SM90, rules=given).uuid()


# Stale hits.


def test_every_setting_is_in_the_key_vllm_28759_vllm_14953() -> None:
    """A setting that changes what is compiled was not in the key: the old result was taken."""
    managers = [
        fusible.PassManager(pipeline, target)
        for pipeline in (None, "fuse-ops", "fuse-ops,drop-dead")
        for target in ("cpu", SM90, "rocm-gfx942")
    ]
    keys = {manager.uuid(range) for manager in managers for range in (None, (1, 8), (1, 9))}
    assert len(keys) == 3 * len(managers)


def test_a_size_in_the_graph_counts_vllm_53366() -> None:
    """Graphs for 7, 9 and 11 speculative tokens had one key, and the sizes of the first."""
    manager = fusible.PassManager(None, SM90)
    graphs = [parse("y = rms_norm(x, w)\nreturn y\n", NORM.replace("T", k)) for k in ("7", "9")]
    first, second = (manager.key_of(graph) for graph in graphs)
    assert first.uuid != second.uuid
    assert "bf16[7, 512]" in first.diff(second)["inputs"]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_target_counts_vllm_26468_vllm_16501(field: str) -> None:
    """Fields had to be added to the key by hand, and were forgotten."""
    fields = re.findall(r"(\w+): ", str(fusible.Target.__init__.__doc__))
    assert {*FIELDS} == {*fields} - {"self"}  # a new one must be tried here
    base = {"name": "mine", "pipeline": "fuse-ops", "operators": {"add"}}
    keys = [
        fusible.PassManager(target=fusible.Target(**fields)).key()
        for fields in (base, {**base, field: FIELDS[field]})
    ]
    assert keys[0].uuid != keys[1].uuid
    assert keys[0].diff(keys[1])


def test_an_option_of_a_kernel_counts_vllm_16150_vllm_16491() -> None:
    """A flag that the model hands to a kernel was not in the key."""
    options = ("", ", temperature_tuning=true", ", temperature_tuning=false")
    graphs = [
        parse(f'y: bf16[T, 512] = opaque(x, name="attention"{option})\nreturn y\n')
        for option in options
    ]
    assert len({str(graph.key()) for graph in graphs}) == len(options)


def test_what_one_rank_hands_to_its_kernel_is_in_its_key_pytorch_192042() -> None:
    """The pass put the rank into the graph, its key did not have it: ranks shared an entry."""
    ranks = [sharp(replace=KERNEL.replace("eps=eps", f"eps=eps, rank={i}")) for i in range(3)]
    assert len({rule_uuid(rank) for rank in ranks}) == 3
    assert len({optimized(SHARP_SITE, rank).key.uuid for rank in ranks}) == 3


@pytest.mark.parametrize("place", range(len(PASSES) + 1))
def test_a_pass_more_is_another_key_wherever_it_stands_pytorch_177403(place: int) -> None:
    """The passes of one stage were in no key."""
    more = [*PASSES[:place], "canonicalize", *PASSES[place:]]
    keys = {fusible.PassManager(",".join(names), SM90).uuid() for names in (PASSES, more)}
    assert len(keys) == 2


def test_dtypes_stand_in_the_graph_and_in_no_state_around_it_pytorch_181564() -> None:
    """The state of autocast changed what a graph computes, and not its key."""

    def norm(x: Any) -> Any:
        return fusible.ops.softmax(x)

    keys = [fusible.trace(norm, x=fusible.spec(f"{t}[T, 512]")).key() for t in ("f32", "bf16")]
    assert keys[0].uuid != keys[1].uuid
    assert "f32" in keys[0].diff(keys[1])["inputs"]


def no_pass(graph: fusible.Graph) -> fusible.Graph:
    return graph


@pytest.mark.parametrize(
    "make",
    [
        lambda: fusible.PassManager(no_pass, SM90),  # type: ignore[arg-type]
        lambda: rule_uuid(no_pass),  # type: ignore[arg-type]
        lambda: sharp(predicate=no_pass),
    ],
    ids=["pytorch_ao_2907", "pytorch_ao_4424", "pytorch_137298"],
)
def test_a_function_without_a_key_is_refused(make: Any) -> None:
    """A plain function turned the cache off for good, and nobody was told."""
    with pytest.raises(fusible.ArgumentError, match=r"^(pipeline|rules|sharp: predicate): "):
        make()


def test_what_only_its_author_knows_is_in_the_key_by_a_version_pytorch_174972() -> None:
    """What a function depends on could not be added to the key."""
    versions = [rules.Predicate("tuned", str(i), lambda found: True) for i in range(3)]
    assert len({rule_uuid(sharp(predicate=version)) for version in versions}) == 3


def test_no_rule_takes_the_place_of_another_pytorch_178048() -> None:
    """There was one place for a hook: whoever came last had overwritten the other unseen."""
    other = rules.Rule(
        "twice(x: F[..., C]) -> y: F[..., C]",
        "n = softmax(x)\ny = softmax(n)\nreturn y\n",
        'y = opaque(x, name="twice")\nreturn y\n',
    )
    body = "n = rms_norm(x, w)\ny = softmax(n)\nm = softmax(residual)\nz = softmax(m)\n"
    for given in ((sharp(), other), (other, sharp())):
        assert optimized(f"{body}return y, z\n", *given).fusions == {"sharp": 1, "twice": 1}
    assert optimized(f"{body}return y, z\n", other).fusions == {"twice": 1}
    with pytest.raises(fusible.GraphError, match="expected one of each name, got two of sharp"):
        rule_uuid(sharp(), sharp(where=["C >= 64"]))


# Needless misses.


def test_equal_layers_have_one_key_vllm_37919_vllm_20451() -> None:
    """The names of layers stood in the graphs: each of 80 equal ones was compiled."""
    first, seventh = (
        parse(f"{name} = rms_norm(x, w)\nq, s = {QUANT}({name})\nreturn q, s\n")
        for name in ("layers.0.norm", "layers.7.norm")
    )
    assert str(first) != str(seventh)
    assert str(first.key()) == str(seventh.key())


def test_no_random_number_is_in_a_key_pytorch_191323_pytorch_194451() -> None:
    """A key was a random number: new in each run, and of a fixed seed the same for all graphs."""

    def keys(seed: int) -> list[str]:
        random.seed(seed)
        graphs = [
            parse(f'y: bf16[T, 512] = opaque(x, name="{name}", mutates=true)\nreturn y\n')
            for name in ("one", "two")
        ]
        return [optimized(str(graph), head="").key.uuid for graph in graphs]

    assert keys(0) == keys(0) == keys(1)
    assert len({*keys(0)}) == 2


# The pass manager.


@pytest.mark.parametrize("left_out", PASSES)
def test_any_pass_can_be_left_out_vllm_40953(left_out: str) -> None:
    """There was a switch for each pass that somebody had thought of."""
    pipeline = ",".join(name for name in PASSES if name != left_out)
    result = fusible.optimize(parse(layers(2)), SM90, pipeline)
    fused = "fuse-ops" in pipeline
    assert result.fusions.get("fused_add_rms_norm_group_quant_fp8", 0) == 2 * fused
    assert [one.name for one in result.stats] == pipeline.split(",")


def test_files_are_enough_for_a_target_of_ones_own_vllm_39356(tmp_path: Path) -> None:
    """Passes from outside the project needed hacks in it."""
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\npipeline = "fuse-ops,drop-dead"\noperators = ["rms_norm", "softmax"]\n'
    )
    (tmp_path / "rules.toml").write_text(FILE)
    given = read_rules(tmp_path / "rules.toml")
    result = fusible.optimize(parse(SHARP_SITE), str(tmp_path / "mine.toml"), rules=given)
    assert names(result.graph) == ["opaque(my_sharp)"]


def test_one_manager_serves_many_graphs_vllm_46667() -> None:
    """A manager belonged to one engine, and could not be used again."""
    manager = fusible.PassManager(None, SM90)
    graphs = [parse(layers(count)) for count in (1, 3, 1)]
    results = [manager.run(graph) for graph in graphs]
    fresh = [fusible.optimize(graph, SM90) for graph in graphs]
    assert [str(one.graph) for one in results] == [str(one.graph) for one in fresh]
    assert results[0].key == results[2].key != results[1].key


def test_reasons_are_values_and_no_log_vllm_10308(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Counts were logged, the log was noise, and was demoted until nobody saw it."""
    with caplog.at_level(logging.DEBUG):
        result = optimized(f"y = rms_norm(x, w)\nq, s = {QUANT}(y)\nreturn q, s, y\n")
    assert [miss.reason for miss in result.misses] == ["extra_user"]
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_reasons_are_there_after_a_cache_hit_pytorch_133118(tmp_path: Path) -> None:
    """Behind a hit there was no log of what had been fused and what not."""
    graph = parse(f"y = rms_norm(x, w)\nq, s = {QUANT}(y, dtype=e4m3fnuz)\nreturn q, s\n")
    fresh, found = (fusible.optimize(graph, SM90, cache=tmp_path) for _ in range(2))
    assert (fresh.cached, found.cached) == (False, True)
    assert [repr(miss) for miss in found.misses] == [repr(miss) for miss in fresh.misses] != []


def test_no_pass_looks_at_all_for_each_tensorrt_llm_11203() -> None:
    """A transformation took minutes: each node made it walk over the whole graph."""

    def looked_at(count: int) -> int:
        return sum(one.looked_at for one in fusible.optimize(parse(layers(count)), SM90).stats)

    ten, twenty, forty = (looked_at(count) for count in (10, 20, 40))
    assert ten >= 10
    assert forty - twenty == 2 * (twenty - ten)


@pytest.mark.parametrize(("a", "b"), [(1e-05, 1e-05), (1e-05, 1e-06), (1e-06, 1e-05)])
def test_numbers_bind_by_name_and_not_by_value_tensorrt_llm_4064(a: float, b: float) -> None:
    """A number of a pattern was told by its value: two equal ones could not be told apart."""
    rule = rules.Rule(
        "twice(x: F[..., C], w: F[C], *, a: float, b: float) -> y: F[..., C]",
        "n = rms_norm(x, w, eps=a)\ny = rms_norm(n, w, eps=b)\nreturn y\n",
        'y = opaque(x, w, name="twice", second=b, first=a)\nreturn y\n',
    )
    body = f"n = rms_norm(x, w, eps={a})\ny = rms_norm(n, w, eps={b})\nreturn y\n"
    (node,) = optimized(body, rule).graph.nodes
    assert (node.attrs["first"], node.attrs["second"]) == (a, b)
