"""Names of the package that a function and a module share."""

from __future__ import annotations

import fusible


def test_functions_keep_their_names_when_modules_of_these_names_load() -> None:
    graph = fusible.Graph.parse("input x: f32[T, 8]\ny = softmax(x)\nreturn y\n")
    assert fusible.optimize(graph).graph.nodes  # loads fusible.targets
    assert fusible.Executable is not None  # loads fusible.compile
    assert "cpu" in fusible.targets()
    assert fusible.compile(graph).graph.nodes
