"""The history file, and the changes found in it."""

import json
import random

import pytest

from fusible.gate import history
from fusible.gate.history import Point
from fusible.gate.model import Better, GateError


def run(levels, cv=0.02, name="decode", seed=1, **about):
    rng = random.Random(seed)
    return [
        Point(
            name,
            tuple(level * rng.lognormvariate(0, cv) for _ in range(3)),
            commit=f"{number:040x}",
            **about,
        )
        for number, level in enumerate(levels)
    ]


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "deep" / "history.jsonl"
    first = [Point("a", (1.0, 2.5), "s", Better.HIGHER, "abc", "now", "m")]
    history.append(path, first)
    history.append(path, [Point("ü \n\u2028", (3.0,))])
    history.append(path, [])
    assert history.points(path) == [*first, Point("ü \n\u2028", (3.0,))]
    assert path.read_text().count("\n") == 2


def test_nothing_is_ever_rewritten(tmp_path):
    path = tmp_path / "history.jsonl"
    history.append(path, [Point("a", (1.0,))])
    before = path.read_bytes(), path.stat().st_ino
    history.append(path, [Point("a", (2.0,))])
    assert path.read_bytes().startswith(before[0])
    assert path.stat().st_ino == before[1]


GOOD = '{"name": "a", "values": [1.0]}\n'
BAD = {
    "half a line": (GOOD + '{"name": "a", "va', "2: expected a whole line"),
    "no JSON": (GOOD + "decode 3 ms\n", "2:1: expected JSON"),
    "a merge conflict": ("<<<<<<< HEAD\n" + GOOD, "1: expected JSON, got a merge conflict"),
    "an empty line": (GOOD + "\n", "2:1: expected JSON"),
    "no object": ("[1]\n", "1: expected an object"),
    "an unknown key": ('{"name": "a", "values": [1], "value": 2}\n', "1: expected an object with"),
    "a key twice": ('{"name": "a", "name": "b", "values": [1]}\n', "'name' twice"),
    "NaN": ('{"name": "a", "values": [NaN]}\n', "1: expected a finite number"),
    "no values": ('{"name": "a", "values": []}\n', "values: expected finite numbers"),
    "true": ('{"name": "a", "values": [true]}\n', "values: expected finite numbers"),
    "text": ('{"name": "a", "values": ["1"]}\n', "values: expected finite numbers"),
    "too large": ('{"name": "a", "values": [1' + "0" * 400 + "]}\n", "values: expected finite"),
    "a direction": ('{"name": "a", "values": [1], "better": "up"}\n', "better: expected lower"),
    "a unit": ('{"name": "a", "values": [1], "unit": 3}\n', "unit: expected text"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named(tmp_path, text, words):
    path = tmp_path / "history.jsonl"
    path.write_text(text)
    with pytest.raises(GateError, match=words) as error:
        history.points(path)
    assert str(error.value).startswith(f"{path}:")


def test_half_a_line_is_not_appended_to(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"name": "a"')
    with pytest.raises(GateError, match="expected whole lines"):
        history.append(path, [Point("a", (1.0,))])
    assert path.read_text() == '{"name": "a"'


def test_all_points_are_appended_or_none(tmp_path):
    path = tmp_path / "history.jsonl"
    with pytest.raises(ValueError, match="values"):
        history.append(path, [Point("a", (1.0,)), Point("b", ())])
    with pytest.raises(ValueError, match="JSON"):
        history.append(path, [Point("a", (float("nan"),))])
    assert not path.exists()


def test_a_step_is_found_where_it_is():
    found = history.detect(run([100.0] * 15 + [110.0] * 10))
    assert len(found) == 1
    assert found[0].at.commit == f"{15:040x}"
    assert found[0].previous.commit == f"{14:040x}"
    assert found[0].ratio == pytest.approx(1.1, rel=0.02)
    assert found[0].worse
    assert found[0].p < 0.001


def test_a_level_that_came_and_went_is_found():
    levels = [100.0] * 60 + [110.0] * 8 + [100.0] * 60
    found = history.detect(run(levels))
    assert [int(change.at.commit, 16) for change in found] == [60, 68]
    assert [change.worse for change in found] == [True, False]
    assert found[0].after == found[1].before


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_change(seed):
    assert history.detect(run([100.0] * 60, cv=0.05, seed=seed)) == []


def test_one_outlier_is_no_change():
    assert history.detect(run([100.0] * 20 + [300.0] + [100.0] * 20)) == []


def test_the_same_points_give_the_same_changes():
    points = run([100.0, 101.0, 100.0] * 9 + [120.0] * 9)
    assert history.detect(points) == history.detect(list(points))


def test_small_changes_are_not_told():
    points = run([100.0] * 20 + [101.0] * 20, cv=1e-4)
    assert history.detect(points) == []
    assert len(history.detect(points, floor=0.005)) == 1


def test_constant_levels_have_no_spread():
    assert history.detect(run([7.0] * 30, cv=0)) == []
    found = history.detect(run([7.0] * 5 + [8.0] * 3, cv=0))
    assert [int(change.at.commit, 16) for change in found] == [5]


def test_zeros_and_negatives_have_levels_too():
    points = [Point("allocations", (float(value),)) for value in [0] * 6 + [4] * 6]
    found = history.detect(points)
    assert (found[0].before, found[0].after, found[0].ratio) == (0, 4, float("inf"))
    assert history.detect([Point("x", (-1.0,)), Point("x", (1.0,))]) == []


def test_which_way_is_worse_depends_on_the_metric():
    points = run([100.0] * 10 + [120.0] * 10, better=Better.HIGHER)
    assert [change.worse for change in history.detect(points)] == [False]


def test_machines_metrics_and_units_are_not_mixed():
    points = [
        *run([100.0] * 10, machine="a"),
        *run([200.0] * 10, machine="b"),
        *run([300.0] * 10, name="prefill"),
        *run([0.1] * 10, unit="s"),
    ]
    assert history.detect(points) == []


@pytest.mark.parametrize("count", range(7))
def test_few_points_are_no_error(count):
    assert history.detect(run([100.0] * count)) == []


def test_a_change_needs_three_runs():
    assert history.detect(run([100.0] * 20 + [150.0] * 2)) == []
    assert len(history.detect(run([100.0] * 20 + [150.0] * 3))) == 1


def test_lines_are_json(tmp_path):
    path = tmp_path / "history.jsonl"
    history.append(path, run([1.0, 2.0]))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["decode", "decode"]
    assert lines[0]["better"] == "lower"
