"""Memory of intermediate values: never shared while both live, reused as soon as it can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusible
from fusible import _core
from support.graphs import normal, unfused

NEEDS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 20), st.integers(0, 8)).map(
        lambda need: (need[0], need[1], need[1] + need[2])
    ),
    max_size=40,
)


@given(NEEDS)
def test_what_lives_together_lies_apart(needs):
    offsets, total = _core.plan_memory(needs)
    places = [
        (offset, offset + size, first, last)
        for offset, (size, first, last) in zip(offsets, needs, strict=True)
    ]
    for i, (begin, end, first, last) in enumerate(places):
        assert begin % 64 == 0
        assert end <= total
        for other_begin, other_end, other_first, other_last in places[:i]:
            if first <= other_last and other_first <= last:
                assert end <= other_begin or other_end <= begin


@given(NEEDS)
def test_no_more_than_all_and_no_less_than_the_fullest_step(needs):
    _, total = _core.plan_memory(needs)
    rounded = [(-(-size // 64) * 64, first, last) for size, first, last in needs]
    assert total <= sum(size for size, _, _ in rounded)
    for step in range(30):
        assert total >= sum(size for size, first, last in rounded if first <= step <= last)


def test_a_plan_is_the_same_each_time():
    needs = [(1000 * (i % 7), i % 5, i % 5 + i % 3) for i in range(50)]
    assert _core.plan_memory(needs) == _core.plan_memory(needs)


ROW = 64 * 4


@pytest.mark.parametrize(
    ("lines", "results", "rows"),
    [
        # In place all the way, in the memory of the result.
        (["a = softmax(x)", "b = softmax(a)", "c = softmax(b)"], "c", 0),
        # a is needed until the end: one row beside the result.
        (["a = softmax(x)", "b = softmax(a)", "c = add(b, a)"], "c", 1),
        # Both halves of the diamond live at once; one of them becomes the result.
        (["a = softmax(x)", "b = mul(a, by=2.0)", "d = mul(a, by=3.0)", "c = add(b, d)"], "c", 1),
        # All are results.
        (["a = softmax(x)", "b = softmax(a)", "c = softmax(b)"], "a, b, c", 0),
        # A slice keeps its base alive, and is copied out.
        (["a = softmax(x)", "c = slice(a, start=3, stop=9)"], "c", 1),
    ],
)
def test_arenas(lines, results, rows):
    text = "input x: f32[T, 64]\n" + "\n".join(lines) + f"\nreturn {results}\n"
    run = unfused(fusible.Graph.parse(text))
    run(x=normal(1, (16, 64), "f32"))
    assert run.arena_bytes == rows * 16 * ROW
