"""Budgets: files up to 400 lines, functions up to 60, half of them up to 15, lines up to 100."""

import ast
import re
import statistics

import pytest

from support.sources import GENERATED, files, name, without_comments_and_strings

FOLDERS = ("csrc", "python", "tests", "ci", "benchmarks")
CPP = files(*FOLDERS, suffixes=(".cc", ".h"))
PYTHON = [p for p in files(*FOLDERS, suffixes=(".py",)) if name(p) not in GENERATED]

# What may stand between a function's parameters and its body.
HEAD = re.compile(
    r"\)\s*(const|noexcept|override|final|HWY_\w+|->[^{};=]*|:[^:].*|\s)*$",
    re.DOTALL,
)
ACCESS = {"public", "protected", "private"}
CONTROL = re.compile(r"^\s*(\}?\s*else\b|if|for|while|switch|do|try|catch|return|case|namespace)\b")


def is_function_head(head):
    """Whether the text before a brace, since the last statement, begins a function's body."""
    if CONTROL.match(head) or not HEAD.search(head):
        return False
    return head.count("(") == head.count(")")


def cpp_functions(text):
    """(name, first line, number of lines) of each outermost function; lambdas count with theirs."""
    depth, start, line, head, inside = 0, 0, 1, "", None
    for char in without_comments_and_strings(text):
        if char == "\n":
            line += 1
        if not head.strip():
            start = line
        if char == "{":
            if inside is None and is_function_head(head):
                inside = (depth, start, " ".join(head.split("(", maxsplit=1)[0].split()[-1:]))
            depth, head = depth + 1, ""
        elif char == "}":
            depth, head = depth - 1, ""
            if inside and inside[0] == depth:
                yield inside[2], inside[1], line - inside[1] + 1
                inside = None
        elif char == ";" or (char == ":" and head.strip() in ACCESS):
            head = ""
        else:
            head += char


def python_functions(text):
    """(name, first line, number of lines) of each function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def functions(path):
    scan = python_functions if path.suffix == ".py" else cpp_functions
    return list(scan(path.read_text()))


def test_files_are_short():
    lengths = {name(path): path.read_text().count("\n") for path in [*CPP, *PYTHON]}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_lines_are_short():
    assert [
        f"{name(path)}:{number}"
        for path in [*CPP, *PYTHON]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100
    ] == []


def test_functions_are_short():
    assert [
        f"{name(path)}:{line} {function} has {length} lines"
        for path in [*CPP, *PYTHON]
        for function, line, length in functions(path)
        if length > 60
    ] == []


@pytest.mark.parametrize("paths", [CPP, PYTHON], ids=["C++", "Python"])
def test_half_of_the_functions_are_short(paths):
    lengths = [length for path in paths for _, _, length in functions(path)]
    assert statistics.median(lengths) <= 15


def test_the_scanner_sees_functions():
    text = """
namespace a {
struct B final : public C {
  int x = 3;
  explicit B(int y) : x(y) {
    if (y) { x = 0; }
  }
};
const std::map<int, int> kTable = {{1, 2}};
template <class T>
std::vector<T> Make(const std::string& name = "}{",
                    int n = 1'000) noexcept {
  auto f = [&](int i) { return i; };
  for (int i = 0; i < n; ++i) {
    f(i);
  }
  return {};
}
}  // namespace a
"""
    assert list(cpp_functions(text)) == [("B", 5, 3), ("Make", 10, 9)]
