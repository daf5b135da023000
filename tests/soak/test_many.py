"""Twenty thousand tests: no argument grows with them, and nothing recurses over them."""

import json

from support.small_suites import project, run, run_command

FILES, EACH = 20, 1000
LONG = "x" * 40  # ids of such a length fill an argument list many times over
SUITE = {
    f"test_{file}.py": f"""
        import pytest
        @pytest.mark.parametrize("x", range({EACH}), ids=lambda x: f"{LONG} {{x}}")
        def test_p(x): pass
    """
    for file in range(FILES)
}


def test_planned_and_run(tmp_path):
    folder = project(tmp_path, SUITE)
    done = run_command(folder, "plan", "--partitions", "3", "--output", "plan.json", timeout=600)
    assert done.returncode == 0, done.stderr
    planned = json.loads((folder / "plan.json").read_text())
    assert planned
    ids, ledgers = [], []
    for part in range(3):
        ledgers.append(f"{part}.jsonl")
        arguments = ("--plan", "plan.json", "--partition-id", str(part), "--ledger", ledgers[-1])
        ran = run(folder, *arguments, timeout=600)
        assert ran.exit == 0, ran.explained()[:4000]
        ids += [test["id"] for test in ran.tests]
    assert len(ids) == len(set(ids)) == FILES * EACH
    merged = run_command(folder, "merge", *ledgers, "--plan", "plan.json", timeout=600)
    assert merged.returncode == 0, merged.stdout[-4000:]


def test_all_of_one_file_that_is_split(tmp_path):
    folder = project(tmp_path, {"test_a.py": SUITE["test_0.py"]})
    ran = run(folder, "--workers", "2", timeout=600)
    assert (ran.exit, len(ran.tests)) == (0, EACH), ran.explained()[:4000]
