"""What keys see of rules: what they mean, and nothing of how they are written."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fusible
from fusible import rules
from fusible.rule_files import lines_of

SIGNATURE = "r(x: F[..., C], y: F[..., C], w: F[C], *, eps: float) -> o: F[..., C], s: F[..., C]"
FIND = "s = add(x, y)\nn = rms_norm(s, w, eps=eps)\na = softmax(n)\no = mul(a, n)\nreturn o, s\n"
REPLACE = 'o, s = opaque(x, y, w, name="k", eps=eps)\nreturn o, s\n'
BASE: dict[str, Any] = {
    "signature": SIGNATURE,
    "find": FIND,
    "replace": REPLACE,
    "via": ["reshape", "slice"],
    "on_escape": "keep",
    "each": 2,
    "where": ["C % 128 == 0", "C >= 64"],
    "predicate": rules.Predicate("even", "1", lambda found: True),
}


def uuid(**change: Any) -> str:
    return fusible.PassManager(None, "cuda-sm90", rules=[rules.Rule(**{**BASE, **change})]).uuid()


SAME = {
    "names of values": {"find": FIND.replace("a =", "soft =").replace("mul(a, n)", "mul(soft, n)")},
    "operands that may be swapped": {"find": FIND.replace("add(x, y)", "add(y, x)")},
    "spaces": {"find": FIND.replace("(", "( ").replace(",", " ,"), "replace": "\n" + REPLACE},
    "comments": {"find": "# the tail of a block\n" + FIND},
    "names of sizes and classes": {
        "signature": BASE["signature"].replace("C]", "K]").replace("F[", "F1["),
        "where": ["K % 128 == 0", "K >= 64"],
    },
    "names of operands": {
        "signature": BASE["signature"].replace("w: F", "gain: F"),
        "find": FIND.replace("w,", "gain,"),
        "replace": REPLACE.replace("w,", "gain,"),
    },
    "names of attributes": {
        "signature": BASE["signature"].replace("eps", "epsilon"),
        "find": FIND.replace("=eps", "=epsilon"),
        "replace": REPLACE.replace("=eps", "=epsilon"),
    },
    "order of conditions": {"where": ["C >= 64", "C % 128 == 0"]},
    "order of views": {"via": ["slice", "reshape", "slice"]},
    "code of a predicate of the same version": {
        "predicate": rules.Predicate("even", "1", lambda found: "no")
    },
    "functions": {
        "find": lambda op, x, y, w, *, eps: (
            op.mul(op.softmax(n := op.rms_norm(s := op.add(x, y), w, eps=eps)), n),
            s,
        ),
        "replace": lambda op, x, y, w, *, eps: op.opaque("k", x, y, w, eps=eps, results=2),
    },
}
OTHER = {
    "the name": {"signature": BASE["signature"].replace("r(", "t(", 1)},
    "a type": {"signature": BASE["signature"].replace("F[", "bf16[")},
    "rows": {"signature": BASE["signature"].replace("..., C", "N, C")},
    "a choice": {"signature": BASE["signature"].replace("float", "1e-05 | 1e-06")},
    "a fixed attribute": {
        "signature": BASE["signature"].replace(", *, eps: float", ""),
        "find": FIND.replace("eps=eps", "eps=1e-05"),
        "replace": REPLACE.replace(", eps=eps", ""),
    },
    "an operator that is found": {
        "find": FIND.replace("softmax", "cast").replace("cast(n)", "rms_norm(n, w)")
    },
    "how calls are connected": {"find": FIND.replace("mul(a, n)", "mul(a, s)")},
    "one call read twice or two of them": {"find": FIND.replace("mul(a, n)", "mul(a, a)")},
    "order of results": {"find": FIND.replace("return o, s", "return s, o")},
    "the kernel's name": {"replace": REPLACE.replace('"k"', '"k2"')},
    "what the kernel is told": {"replace": REPLACE.replace("eps=eps", "epsilon=eps")},
    "order of the kernel's operands": {"replace": REPLACE.replace("x, y,", "y, x,")},
    "order of the kernel's results": {"replace": REPLACE.replace("return o, s", "return s, o")},
    "operators in place of a kernel": {
        "replace": "n, s = fused_add_rms_norm(x, y, w, eps=eps)\no = softmax(n)\nreturn o, s\n"
    },
    "views": {"via": ["reshape"]},
    "escape": {"on_escape": "recompute"},
    "escape left to the target": {"on_escape": None},
    "each": {"each": 3},
    "one condition less": {"where": ["C % 128 == 0"]},
    "another modulus": {"where": ["C % 64 == 0", "C >= 64"]},
    "another relation": {"where": ["C % 128 == 0", "C > 64"]},
    "another number": {"where": ["C % 128 == 0", "C >= 65"]},
    "no predicate": {"predicate": None},
    "a predicate's name": {"predicate": rules.Predicate("odd", "1", lambda found: True)},
    "a predicate's version": {"predicate": rules.Predicate("even", "2", lambda found: True)},
    "one more way": {"find": [FIND, FIND.replace("softmax(n)", "rms_norm(n, w)")]},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_how_a_rule_is_written_does_not_count(change):
    assert uuid(**change) == uuid()


def test_the_order_of_independent_calls_does_not_count():
    lines = ["a = softmax(x)\n", "b = rms_norm(y, w, eps=eps)\n"]
    rest = "s = add(a, b)\no = mul(s, a)\nreturn o, s\n"
    assert uuid(find="".join(lines) + rest) == uuid(find="".join(lines[::-1]) + rest)


def test_what_a_rule_means_counts():
    seen = {uuid(**change): what for what, change in OTHER.items()}
    assert len(seen) == len(OTHER)
    assert uuid() not in seen


def test_the_order_in_which_rules_are_given_does_not_count():
    one, other = (
        rules.Rule(**BASE),
        rules.Rule(
            **{
                **BASE,
                **OTHER["how calls are connected"],
                "signature": BASE["signature"].replace("r(", "b(", 1),
            }
        ),
    )
    uuids = {
        fusible.PassManager(None, "cuda-sm90", rules=given).uuid()
        for given in ([one, other], [other, one])
    }
    assert len(uuids) == 1


def test_keys_say_which_rule_differs():
    managers = [
        fusible.PassManager(None, "cuda-sm90", rules=[rules.Rule(**{**BASE, **change})])
        for change in ({}, {"each": 3})
    ]
    plain = fusible.PassManager(None, "cuda-sm90")
    one, other = (manager.key() for manager in managers)
    assert set(one.diff(other)) == {"rules"}
    assert one.diff(other)["rules"].count("r ") == 2
    assert set(one.diff(plain.key())) == {"rules"}
    assert "rules: r " in one.explain()


SCRIPT = """
import sys
import fusible
from fusible.rule_files import read_rules
print(fusible.PassManager(None, "cuda-sm90", rules=read_rules(sys.argv[1])).uuid())
"""


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_keys_are_the_same_in_every_process(seed: str, tmp_path: Path) -> None:
    path = tmp_path / f"rules-{seed}.toml"
    path.write_text("\n".join(lines_of([rules.Rule(**{**BASE, "predicate": None})])))
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, path],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert printed.stdout.strip() == uuid(predicate=None)


def test_what_operators_mean_is_in_the_structure():
    (native,) = rules.Rule(**BASE).native
    lines = native.contract.splitlines()
    for op in ("add", "rms_norm", "softmax", "mul"):
        assert [line for line in lines if line.startswith(f"{op} ") and len(line.split()[1]) == 64]
