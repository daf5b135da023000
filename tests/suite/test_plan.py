"""Plans: every test once, balanced, the same on every machine, read back strictly."""

import json
import random
import statistics
import sys

import pytest

from fusible.suite import plan
from fusible.suite.durations import Durations, Machine
from fusible.suite.model import Attempt, Collection, Item, Outcome, SuiteError


def tests_of(files, count):
    return [Item(f"{file}::test[{i}]", 0, file) for file in files for i in range(count)]


def assigned(seconds, parts, setup=0.0):
    """A plan of files of one test each."""
    items = [Item(f"f{i}::t", 0, f"f{i}") for i in range(len(seconds))]
    costs = plan.Weights(tuple(seconds), {item.file: setup for item in items})
    return plan.assign(items, costs, parts)


def lognormal(seed, tests):
    """120 files whose weights spread over three orders of magnitude."""
    random_ = random.Random(seed)
    files = [f"tests/test_{i}.py" for i in range(120)]
    weight = {file: random_.lognormvariate(0, 1.5) for file in files}
    items = tests_of(files, tests)
    seconds = tuple(weight[item.file] / tests for item in items)
    return plan.assign(items, plan.Weights(seconds, dict.fromkeys(files, 0.05)), 6)


@pytest.mark.parametrize("tests", [1, 8])
def test_partitions_are_balanced(tests):
    plans = [lognormal(seed, tests) for seed in range(100)]
    ratios = [made.makespan / made.lower_bound for made in plans]
    assert min(ratios) >= 1
    assert statistics.median(ratios) <= 1.05


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
def test_every_test_is_in_one_partition(parts):
    items = tests_of(["a.py", "b.py", "c.py"], 5)
    made = plan.assign(items, plan.weights(items), parts)
    shared = [item for part in range(parts) for item in made.part(part)]
    assert sorted(shared, key=str) == sorted(items, key=str)


def test_partitions_keep_the_order_of_the_collection():
    items = tests_of(["z.py", "a.py"], 3)
    assert plan.assign(items, plan.weights(items), 1).part(0) == items


def test_files_stay_whole_where_that_balances():
    items = tests_of([f"f{i}.py" for i in range(12)], 10)
    made = plan.assign(items, plan.weights(items), 4)
    homes = {}
    for item, part in zip(made.items, made.partition, strict=True):
        homes.setdefault(item.file, set()).add(part)
    assert {len(parts) for parts in homes.values()} == {1}


def test_a_heavy_file_is_split_into_runs_of_neighbours():
    items = [*tests_of(["heavy.py"], 90), *tests_of(["a.py", "b.py", "c.py"], 3)]
    made = plan.assign(items, plan.weights(items), 3)
    assert made.makespan <= 1.05 * made.lower_bound
    changes = sum(a != b for a, b in zip(made.partition[:90], made.partition[1:90], strict=False))
    assert changes < 12


def test_setup_is_paid_in_each_partition_that_imports_the_file():
    items = tests_of(["a.py"], 4)
    made = plan.assign(items, plan.Weights((10.0,) * 4, {"a.py": 3.0}), 2)
    assert made.estimates == (23.0, 23.0)
    assert made.lower_bound == 21.5


def test_an_import_dearer_than_its_tests_keeps_the_file_whole():
    items = tests_of(["a.py"], 4)
    made = plan.assign(items, plan.Weights((0.1,) * 4, {"a.py": 60.0}), 2)
    assert made.makespan == pytest.approx(60.2)


def test_the_order_of_collection_changes_nothing():
    items = [*tests_of([f"f{i}.py" for i in range(9)], 7), Item("f0.py::test[0]", 1, "f0.py")]
    random_ = random.Random(5)
    durations = Durations({"m": Machine({i.id: [random_.random()] for i in items}, {})})

    def homes(order):
        made = plan.make(Collection(tuple(order)), durations, parts=4)
        return dict(zip(made.items, made.partition, strict=True)), made.hash

    shuffled = random_.sample(items, len(items))
    assert homes(shuffled) == homes(items)


def test_unknown_tests_weigh_the_median_and_are_named():
    items = tests_of(["a.py"], 4)
    known = {items[0].id: [1.0], items[1].id: [5.0, 3.0], items[2].id: [9.0]}
    made = plan.make(Collection(tuple(items)), Durations({"m": Machine(known, {})}), parts=2)
    assert made.weights.tests == (1.0, 4.0, 9.0, 4.0)
    assert made.unknown == [items[3]]
    assert "1 without a recorded duration: median taken" in made.lines()


def test_without_durations_all_weigh_the_same():
    items = tests_of(["a.py", "b.py"], 2)
    assert set(plan.weights(items).tests) == {plan.UNKNOWN_SECONDS}


def test_tests_of_no_weight_spread_by_number():
    made = assigned([0.0] * 12, 4)
    assert [len(made.part(part)) for part in range(4)] == [3, 3, 3, 3]
    assert (made.makespan, made.lower_bound) == (0.0, 0.0)


def test_a_giant_test_has_a_partition_for_itself():
    made = assigned([1000.0] + [1.0] * 30, 3)
    giant = made.partition[0]
    assert made.part(giant) == [made.items[0]]
    assert made.makespan == made.lower_bound == 1000.0


def test_more_partitions_than_tests_leaves_some_empty():
    made = assigned([1.0, 2.0], 5)
    assert sorted(len(made.part(part)) for part in range(5)) == [0, 0, 0, 1, 1]


def test_an_empty_collection_has_a_plan():
    made = plan.make(Collection(()), parts=3)
    assert [made.part(part) for part in range(3)] == [[], [], []]
    assert plan.load(made.to_json()) == made


def test_twenty_thousand_tests_without_recursion():
    items = tests_of([f"tests/test_{i}.py" for i in range(400)], 50)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(150 + len(__import__("inspect").stack()))
    try:
        made = plan.load(plan.make(Collection(tuple(items)), parts=7).to_json())
    finally:
        sys.setrecursionlimit(limit)
    assert len(made.items) == 20_000
    assert made.makespan <= 1.05 * made.lower_bound


def test_the_target_chooses_the_fewest_partitions():
    items = tests_of([f"f{i}.py" for i in range(10)], 6)
    collection = Collection(tuple(items))
    made = plan.make(collection, target_seconds=20)
    assert (made.parts, made.makespan) == (3, 20.0)
    assert plan.make(collection, target_seconds=1000).parts == 1


def test_a_target_below_the_longest_test_aims_at_that():
    items = tests_of(["a.py"], 3)
    known = {items[0].id: [50.0], items[1].id: [1.0], items[2].id: [1.0]}
    durations = Durations({"m": Machine(known, {})})
    made = plan.make(Collection(tuple(items)), durations, target_seconds=10)
    assert (made.parts, made.makespan) == (2, 50.0)


def test_the_hash_knows_occurrences_and_strange_ids():
    ids = ["t[a b]", "t[::]", "t[\udc80]", "t[é]", "t[\n]", 't["]']
    hashes = {plan.collection_hash([Item(one)]) for one in ids}
    assert len(hashes) == len(ids)
    twice = [Item("t"), Item("t", 1)]
    assert plan.collection_hash(twice) == plan.collection_hash(twice[::-1])
    assert plan.collection_hash(twice) != plan.collection_hash(twice[:1])


def test_a_plan_reads_back_as_it_was():
    items = [Item("a::t[\udc80\n☃]", 0, "a"), Item("a::t", 0, "a"), Item("a::t", 1, "a")]
    broken = {"b.py": Attempt(Outcome.ERROR)}
    made = plan.make(Collection(tuple(items), broken), parts=2, suite="unit")
    assert plan.load(made.to_json()) == made


def test_a_plan_is_read_from_a_file(tmp_path):
    made = assigned([1.0, 2.0], 2)
    path = tmp_path / "plan.json"
    path.write_text(made.to_json())
    assert plan.load(path) == plan.load(str(path)) == made


def test_broken_files_belong_to_the_first_partition():
    broken = {"bad.py": Attempt(Outcome.ERROR)}
    made = plan.make(Collection(tuple(tests_of(["a.py"], 2)), broken), parts=2)
    assert made.files(0) == ["a.py", "bad.py"]
    assert "bad.py" not in made.files(1)
    assert "not collected: bad.py" in made.lines()


def changed(key, value):
    table = json.loads(assigned([1.0, 2.0], 2).to_json())
    table[key] = value
    return json.dumps(table)


def row(**changes):
    rows = json.loads(assigned([1.0, 2.0], 2).to_json())["tests"]
    return changed("tests", [{**rows[0], **changes}, rows[1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("version", 2), "expected version 1, got 2"),
        (changed("hash", "0" * 64), "hash: expected"),
        (changed("parts", 0), "expected a whole number of 1 or more, got 0"),
        (changed("parts", True), "expected a whole number of 1 or more, got True"),
        (changed("parts", 1), "expected a part below 1, got"),
        (changed("wrong", 0), "got 'wrong'"),
        (changed("files", {}), "expected the file"),
        (row(estimate=-1), r"tests\[0\]: estimate: expected seconds"),
        (row(estimate="1"), r"tests\[0\]: estimate: expected seconds"),
        (row(id="f1::t"), "expected each test once, got f1::t twice"),
        (row(part=None), r"tests\[0\]: part: expected a whole number"),
        (row().replace("1.0", "NaN"), "expected a finite number, got NaN"),
        ('{"version": 1, "version": 1}', "expected each key once, got 'version' twice"),
        ("{" + '"a":{' * 100_000, "expected JSON"),
        ('{\n<<<<<<< ours\n"version": 1}', "plan:2: expected JSON, got a merge conflict"),
    ],
)
def test_a_damaged_plan_is_refused(text, message):
    with pytest.raises(SuiteError, match=message):
        plan.load(text)


def test_a_plan_of_something_else_is_refused():
    items = tests_of(["a.py"], 3)
    made = plan.assign(items, plan.weights(items), 2, "unit")
    made.verify("unit", 2, items[::-1])
    with pytest.raises(SuiteError, match="expected suite 'bench', got 'unit'"):
        made.verify(suite="bench")
    made = plan.assign(items, plan.weights(items), 2, "unit", commit="a1", narrowed=True)
    assert plan.load(made.to_json()) == made
    for commit in ("a1", None, ""):
        made.verify(commit=commit)
    with pytest.raises(SuiteError, match="expected one of commit b2, got one of a1"):
        made.verify(commit="b2")
    with pytest.raises(SuiteError, match="expected 3 partitions, got 2"):
        made.verify(parts=3)
    with pytest.raises(SuiteError, match=r"not collected: a.py::test\[0\]; not in the plan: new"):
        made.verify(collection=[*items[1:], Item("new", 0, "a.py")])


@pytest.mark.parametrize("part", [-1, 2])
def test_a_partition_that_is_not_there_is_refused(part):
    with pytest.raises(SuiteError, match=f"partition: expected 0 to 1, got {part}"):
        assigned([1.0], 2).part(part)


@pytest.mark.parametrize("parts", [0, -3])
def test_no_partitions_are_refused(parts):
    with pytest.raises(SuiteError, match=f"partitions: expected 1 or more, got {parts}"):
        assigned([1.0], parts)


@pytest.mark.parametrize("target", [0, -1, float("nan")])
def test_no_target_is_refused(target):
    with pytest.raises(SuiteError, match="target seconds: expected more than 0"):
        plan.make(Collection(tuple(tests_of(["a.py"], 1))), target_seconds=target)
