"""Includes and imports point down: a layer knows those below it, and no other."""

import ast
import re

from support.sources import ROOT, files, name

BELOW = {
    "core": {"core"},
    "kernels": {"core", "kernels"},
    "ops": {"core", "kernels", "ops"},
    "ir": {"core", "kernels", "ops", "ir"},
    "passes": {"core", "kernels", "ops", "ir", "passes"},
    "runtime": {"core", "kernels", "ops", "ir", "runtime"},
    "bindings": {"core", "kernels", "ops", "ir", "passes", "runtime", "bindings"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


CPP = files("csrc", suffixes=(".cc", ".h"))


def included(path):
    """Own headers of a file: not generated tables (operators.inc), not Highway's."""
    quoted = INCLUDE.findall(path.read_text())
    return [i for i in quoted if not i.endswith(".inc") and not i.startswith("hwy/")]


def test_includes_point_down():
    wrong = []
    for path in CPP:
        layer = path.relative_to(ROOT / "csrc").parts[0]
        above = [i for i in included(path) if i.split("/")[0] not in BELOW[layer]]
        wrong += [f"{name(path)} of layer {layer} includes {i}" for i in above]
    assert wrong == []


def test_included_files_exist():
    missing = [(name(p), i) for p in CPP for i in included(p) if not (ROOT / "csrc" / i).is_file()]
    assert missing == []


def imports(tree):
    """Top-level names of the modules that a syntax tree imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_only_its_folder_imports_torch():
    others = [p for p in files("python", suffixes=(".py",)) if "fusible/torch/" not in name(p)]
    assert [name(p) for p in others if "torch" in set(imports(ast.parse(p.read_text())))] == []
