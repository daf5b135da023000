"""Whatever a graph makes of two states, a new value lies in its own state's array or a new one."""

import random
from itertools import combinations

import numpy as np
import pytest

import fusible
from support.graphs import bits, normal, unfused

SHAPE, NAMES = (3, 8), ("u1", "u2", "x", "y")
HEAD = """updated u1: f32[T, 8]
updated u2: f32[T, 8]
input x: f32[T, 8]
input y: f32[T, 8]
constant m: f32[8, 8]
"""
# An audit found this one: u1's new value lay in u2's array, from which the sum `c` was made.
CROSSED = f"""{HEAD}a = add(u2, x)
b = add(a, u1)
c = add(b, x)
d = matmul(a, m)
e = mul(d, b)
f = softmax(b)
g = mul(f, d)
return c, e -> u1, f -> u2, g
"""


def random_graph(seed):
    """Up to nine calls over what there is, and two results as the new values."""
    chance = random.Random(seed)
    values, lines = list(NAMES), []
    for number in range(chance.randint(3, 9)):
        one, two = (chance.choice(values[-5:]) for _ in range(2))
        calls = (f"add({one}, {two})", f"mul({one}, {two})", f"softmax({one})", f"matmul({one}, m)")
        lines.append(f"v{number} = {chance.choice(calls)}\n")
        values.append(f"v{number}")
    made = values[len(NAMES) :]
    first, second = chance.sample(made, 2)
    others = [value for value in made if value not in (first, second) and chance.random() < 0.5]
    returned = [f"{first} -> u1", f"{second} -> u2", *others]
    chance.shuffle(returned)
    return f"{HEAD}{''.join(lines)}return {', '.join(returned)}\n"


def called(build, text):
    """Arguments and results by name, arguments as they were before too, after one call."""
    weights = {"m": normal(9, (8, 8), "f32")}
    given = {name: normal(seed, SHAPE, "f32") for seed, name in enumerate(NAMES)}
    before = {name: array.copy() for name, array in given.items()}
    returned = text.rpartition("return ")[2].strip().split(", ")
    results = build(fusible.Graph.parse(text), weights=weights)(**given)
    return given, before, dict(zip(returned, results, strict=True))


@pytest.mark.parametrize("text", [CROSSED, *map(random_graph, range(600))], ids=lambda _: "")
def test_new_values_lie_in_their_own_state_or_apart(text):
    _, _, want = called(unfused, text)
    for build in (unfused, fusible.compile):
        given, before, results = called(build, text)
        taken = set()
        for name, result in results.items():
            assert bits(result) == bits(want[name]), text
            state = name.partition(" -> ")[2]
            if state and result is given[state]:
                taken.add(state)
            else:
                assert not any(np.shares_memory(result, array) for array in given.values()), text
        for name in {*NAMES} - taken:
            assert bits(given[name]) == bits(before[name]), text
        for one, two in combinations(results.values(), 2):
            assert not np.shares_memory(one, two), text
