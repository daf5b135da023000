"""A benchmark to run, and files of samples, for tests of the command line."""

import json
import subprocess
import sys

from support.gate_samples import drawn

# Writes three metrics around 10 ms times its argument, as deterministic as a seed.
BENCH = """
import json, os, random, sys
factor, luck = float(sys.argv[1]), random.Random(os.getpid())
with open(os.environ["FUSIBLE_GATE_SAMPLES"], "w") as file:
    for name in ("decode", "prefill#e2e"):
        for _ in range(2):
            value = 10 * factor * luck.lognormvariate(0, 0.005)
            print(json.dumps({"unit": "ms", "name": name, "value": value}), file=file)
    print(json.dumps({"name": "decode#fused", "value": 20, "unit": "count"}), file=file)
"""


def bench(factor=1.0):
    return f"{sys.executable} bench.py {factor}"


def lines(path, factor=1.0, seed=0, rounds=None, count=20, **more):
    """Writes samples as JSON lines."""
    values = drawn(seed, factor, count).values
    rows = [{"unit": "ms", "name": "m", "value": value, **more} for value in values]
    for number, row in enumerate(rows if rounds else ()):
        row["round"] = number
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def git(folder, *words):
    """Runs git in a folder, with a name to commit under."""
    identity = ["-c", "user.name=n", "-c", "user.email=e@e"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True, cwd=folder)


def committed(folder, *factors, file="bench.py"):
    """A repository with a commit for each factor that the benchmark's values have there."""
    git(folder, "init", "-q")
    for factor in factors:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(BENCH.replace("float(sys.argv[1])", str(factor)))
        git(folder, "add", file)
        git(folder, "commit", "-q", "-m", "m")
