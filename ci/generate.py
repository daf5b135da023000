"""Writes what follows from the operators' signatures and the extension: ops.py and _core.pyi.

Run it after adding an operator (``python ci/generate.py``); ``--check`` only says whether the files
are fresh, and is a test.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stub import stub_text

from fusible import _core

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "fusible"

Described = dict[str, Any]

HEADER = '''"""Every operator as a typed function. Written by ci/generate.py from the signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fusible import _core

if TYPE_CHECKING:
    import numpy as np

    from fusible.graph import Value
    from fusible.packed import PackedWeight

# Arrays compute; values of a graph that is being traced record a node.
A = TypeVar("A", "np.ndarray[Any, np.dtype[Any]]", "Value")
# "bf16", numpy.float32, ml_dtypes.bfloat16, a NumPy dtype.
DType = Any

'''


def type_of(attr: Described) -> str:
    """The Python type of an attribute."""
    if attr["kind"] == "str" and attr["choices"]:
        choices = ", ".join(f'"{choice}"' for choice in attr["choices"])
        text = f"Literal[{choices}]"
    else:
        text = {"ints": "Sequence[int]", "dtype": "DType"}.get(attr["kind"], attr["kind"])
    return f"{text} | None" if attr["optional"] else text


def parameter_of(attr: Described) -> str:
    """An attribute as it stands in a def line."""
    text = f"{attr['name']}: {type_of(attr)}"
    if attr["optional"]:
        return f"{text} = None"
    if attr["default"] is None:
        return text
    default = attr["default"]
    return f"{text} = " + (f'"{default}"' if isinstance(default, str) else repr(default))


def shape_of(spec: Described, layout: str = "") -> str:
    """Dtype and shape of an operand or result, as in its signature."""
    if spec["any_shape"]:
        return f"{spec['dtype']}, any shape"
    dims = (["..."] if spec["leading"] else []) + spec["dims"]
    text = f"{spec['dtype']}[{', '.join(dims)}]"
    return f"{text}, stored column by column if {layout} says so" if layout else text


def operand_line(param: Described) -> str:
    """What the docstring says about an operand."""
    line = f"{param['name']}: {shape_of(param)}"
    if param["bound"]:
        low = "negative: skipped; else" if param["skips_negative"] else "values"
        line += f"; {low} below {param['bound']}"
    return line + (" (optional)." if param["optional"] else ".")


def attr_line(attr: Described) -> str:
    """What the docstring says about an attribute."""
    line = f"{attr['name']}: {attr['kind']}"
    if attr["choices"]:
        line += ", one of " + ", ".join(str(choice) for choice in attr["choices"])
    if attr["bound"]:
        line += f" {attr['bound']}"
    return line + "."


def result_line(result: Described) -> str:
    """What the docstring says about a result."""
    line = f"{result['name']}: {shape_of(result, result['layout'])}"
    alias = result["alias"]
    return line + (f"; out may be {alias}'s own memory." if alias else ".")


def wrapped(lines: Iterator[str] | list[str], indent: str) -> str:
    """Lines at most 100 columns wide, continued with a deeper indent."""
    return "\n".join(
        textwrap.fill(line, 99, initial_indent=indent, subsequent_indent=indent + "    ")
        for line in lines
    )


def docstring(op: Described) -> str:
    """The documentation of an operator: its sentence, shapes, errors, source and meaning."""
    attrs = [attr_line(attr) for attr in op["attrs"]]
    out = [] if op["kind"] == "view" else ["out: results to write, in place of fresh ones."]
    summary, _, rest = op["doc"].partition(". ")
    parts = [summary.rstrip(".") + "."]
    if rest:
        parts.append("\n" + wrapped([rest], "    "))
    parts.append("\n    Args:")
    parts.append(wrapped([operand_line(p) for p in op["params"]] + attrs + out, "        "))
    parts.append("\n    Returns:")
    parts.append(wrapped([result_line(result) for result in op["results"]], "        "))
    parts.append("\n    Raises:")
    bounded = any(param["bound"] for param in op["params"])
    kinds = "ShapeError, DTypeError, ArgumentError" + (", RangeError" if bounded else "")
    parts.append(wrapped([f"{kinds}: an argument that does not fit, before a write."], "        "))
    if op["source"]:
        parts.append("\n" + wrapped([f"Source: {op['source']}."], "    "))
    if op["equals"]:
        body = textwrap.indent(textwrap.dedent(op["equals"]).strip(), "        ")
        parts.append(f"\n    Equals, bit for bit::\n\n{body}")
    return "\n".join(parts)


def returns_of(op: Described) -> str:
    """One value, or a tuple of them."""
    count = len(op["results"])
    return "A" if count == 1 else f"tuple[{', '.join(['A'] * count)}]"


def operand_of(param: Described) -> str:
    """An operand as a parameter."""
    kinds = "A | PackedWeight" if param["packs"] else "A"
    return f"{param['name']}: {kinds}" + (" | None = None" if param["optional"] else "")


def def_line(op: Described) -> str:
    """The def statement, one line if it fits."""
    params = [operand_of(param) for param in op["params"]]
    keywords = [parameter_of(attr) for attr in op["attrs"]]
    if op["kind"] != "view":
        keywords.append("out: Any = None")
    if keywords:
        keywords.insert(0, "*")
    returns = returns_of(op)
    line = f"def {op['name']}({', '.join(params + keywords)}) -> {returns}:"
    if len(line) <= 100:
        return line
    joined = ",\n".join("    " + part for part in params + keywords)
    return f"def {op['name']}(\n{joined},\n) -> {returns}:"


def function(op: Described) -> str:
    """The source of one operator's function."""
    given = [part["name"] for part in op["params"] + op["attrs"]]
    if op["kind"] != "view":
        given.append("out")
    call = f"    results: {returns_of(op)} = _{op['name']}({', '.join(given)})"
    if len(call) > 100:
        joined = "".join(f"        {name},\n" for name in given)
        call = f"    results: {returns_of(op)} = _{op['name']}(\n{joined}    )"
    call += "\n    return results"
    return f'{def_line(op)}\n    """{docstring(op)}\n    """\n{call}\n'


def ops_text() -> str:
    """The whole of ops.py."""
    described = [_core.find_op(name).describe() for name in _core.op_names()]
    handles = "".join(
        f'_{op["name"]} = _core.find_op("{op["name"]}").by_position\n' for op in described
    )
    names = "".join(f'    "{op["name"]}",\n' for op in described)
    functions = "\n\n".join(function(op) for op in described)
    return f"{HEADER}__all__ = [\n{names}]\n\n{handles}\n\n{functions}"


GENERATED: dict[str, Callable[[], str]] = {"ops.py": ops_text, "_core.pyi": stub_text}


def main() -> int:
    """Writes the files, or with --check says which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is stale")
    check = parser.parse_args().check
    stale = 0
    for name, text_of in GENERATED.items():
        path, text = PACKAGE / name, text_of()
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if check:
            print(f"{path.name} is stale: run `python ci/generate.py`", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {path.name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
