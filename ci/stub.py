"""The type stub of the extension, read off the signatures that pybind11 puts into docstrings."""

from __future__ import annotations

import inspect
import re
import types
from typing import Any

from fusible import _core

HEADER = '''"""The native half of fusible. Written by ci/generate.py from the extension."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

'''

# pybind11's names -> what a strict type checker wants to read.
REPLACED = [
    (r"\bfusible\._core\.", ""),
    (r"\bcollections\.abc\.", ""),
    (r"\btyping\.SupportsInt \| typing\.SupportsIndex", "int"),
    (r"\btyping\.SupportsFloat \| typing\.SupportsIndex", "float"),
    (r"\btyping\.SupportsInt\b", "int"),
    (r"\btyping\.SupportsFloat\b", "float"),
    (r"\btyping\.", ""),
    (r"\bobject\b", "Any"),
    (r"\b(dict|Dict)\b(?!\[)", "dict[Any, Any]"),
    (r"\blist\b(?!\[)", "list[Any]"),
    (r"\btuple\b(?!\[)", "tuple[Any, ...]"),
    (r"\bSet\[", "set["),
    (r"\bset\[str\] = set\(\)", "set[str] = ..."),
    (r" = (set\(\)|\{\}|\[\])", " = ..."),
    (r"\bAnnotated\[([^,\]]+)[^\]]*\]", r"\1"),
]

# What an exception carries beside its message.
FIELDS = {
    "GraphError": ("line: int", "column: int"),
    "PassError": ("pass_name: str", "rule: str", "node: str", "rewrites: int"),
}


def signature_of(member: Any, name: str) -> str | None:
    """`(self, x: int) -> str` from the first line of a docstring; None if it has none."""
    line = (member.__doc__ or "").split("\n")[0]
    match = re.match(rf"{re.escape(name)}(\(.*\) -> .*)$", line)
    if not match:
        return None
    text = match.group(1)
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text)
    return re.sub(r"\(self: \w+", "(self", text)


def property_line(name: str, member: property) -> list[str]:
    """A read-only attribute."""
    doc = (member.fget.__doc__ or "") if member.fget else ""
    match = re.search(r"-> (.*)$", doc.split("\n")[0])
    returns = match.group(1) if match else "Any"
    for pattern, replacement in REPLACED:
        returns = re.sub(pattern, replacement, returns)
    return ["    @property", f"    def {name}(self) -> {returns}: ..."]


def method_lines(name: str, member: Any) -> list[str]:
    """A method; static ones say so."""
    signature = signature_of(member, name)
    if signature is None:
        return []
    if name == "__eq__":
        signature = "(self, other: object) -> bool"
    static = [] if "(self" in signature else ["    @staticmethod"]
    return [*static, f"    def {name}{signature}: ..."]


def class_lines(name: str, cls: type) -> list[str]:
    """A class: exceptions by their bases, others by their members."""
    bases = [base.__name__ for base in cls.__bases__ if base.__name__ != "pybind11_object"]
    lines = [f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"]
    if issubclass(cls, Exception):
        fields = FIELDS.get(name)
        return [*lines, *(f"    {field}" for field in fields)] if fields else [f"{lines[0]} ..."]
    for member_name, member in sorted(vars(cls).items()):
        if isinstance(member, property):
            lines += property_line(member_name, member)
        elif member_name in {"__init__", "__call__", "__eq__"} or not member_name.startswith("_"):
            plain = member.__func__ if isinstance(member, staticmethod) else member
            lines += method_lines(member_name, plain)
    return lines


def by_base(item: tuple[str, Any]) -> tuple[int, str]:
    """Error before the errors that derive from it."""
    return (0 if item[0] == "Error" else 1, item[0])


def stub_text() -> str:
    """The whole of _core.pyi."""
    classes, functions, constants = [], [], []
    for name, member in sorted(vars(_core).items(), key=by_base):
        if inspect.isclass(member):
            classes.append("\n".join(class_lines(name, member)))
        elif isinstance(member, types.BuiltinFunctionType) or callable(member):
            signature = signature_of(member, name)
            if signature is not None:
                functions.append(f"def {name}{signature}: ...")
        elif isinstance(member, str) and not name.startswith("__"):
            constants.append(f"{name}: str")
    return HEADER + "\n".join([*constants, "", *functions, "", "\n\n".join(classes)]) + "\n"
