"""Fusion rules in Python: what to find and what to put in its place, as data.

A rule is a signature, which types its operands and attributes, and two bodies as in the ``Equals``
of an operator: each as text, or as a function that is called once with a recorder in the place of
``fusible.ops``::

    @rules.rule("sharp(x: F[..., C], w: F[C], *, eps: float) -> y: F[..., C]")
    def find_sharp(op, x, w, *, eps):
        return op.softmax(op.rms_norm(x, w, eps=eps))

    @find_sharp.replace
    def sharp(op, x, w, *, eps):
        return op.opaque("my_kernel", x, w, eps=eps)

    fusible.optimize(graph, "cuda-sm90", rules=[sharp]).expect({"sharp": "2*L"}, L=32)

Operands and attributes bind by name, whatever their values. Rules stand beside those of the
operators that equal others. Where several match, the one that saves more bytes there comes first,
then the one that saves more calls, then more values; of given ones then the one that asks for more,
before operators, then by name: the order in which they are given does not count. What a replacement
leaves is looked at by the next run of the pass: ``fixpoint(fuse-ops)`` runs it until nothing is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Any, NamedTuple

from fusible import _core
from fusible.bodies import Body, Names, single_text, texts


class Found(NamedTuple):
    """A place where a rule's calls lie, as its predicate sees it.

    Attributes:
        types: operand or result -> its type as text, such as ``bf16[T, 4096]``; None for an
            operand that is absent.
        sizes: letter of the signature -> its size; text such as ``2*T`` for one that only a call
            knows.
        attrs: attribute -> its value.
    """

    types: Mapping[str, str | None]
    sizes: Mapping[str, int | str]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Predicate:
    """A condition that cannot be said as data. In keys its name and version stand for it.

    Attributes:
        name: what it asks for; with it, a miss is explained.
        version: to be changed whenever `test` answers otherwise.
        test: called with what was found; True where the rule applies, else False, or why not, as
            text. It must be a function of its argument alone.
    """

    name: str
    version: str
    test: Callable[[Found], bool | str]

    def __post_init__(self) -> None:
        for field in ("name", "version"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value:
                raise _core.ArgumentError(f"predicate: {field}: expected a text, got {value!r}")

    def refusal(self, types: Any, sizes: Any, attrs: Any) -> str:
        """Why the rule does not apply to what was found; empty where it does."""
        answer = self.test(Found(types, sizes, attrs))
        if isinstance(answer, bool):
            return "" if answer else f"meet {self.name}, version {self.version}"
        if isinstance(answer, str) and answer:
            return answer
        raise _core.ArgumentError(
            f"predicate {self.name}: expected True, False or a reason, got {answer!r}"
        )


class Rule:
    """Finds calls, and puts others in their place.

    Args:
        signature: name, operands, attributes and results, as of an operator.
        find: what to look for, a body as text or a function; several: the rule applies where one
            of them is found.
        replace: what to put in its place. It must take every operand and attribute, and have the
            types of what is found. ``opaque(x, w, name="my_kernel", eps=eps)`` stands for a kernel
            that is not fusible's.
        via: views to look through between two of the calls, where the dimensions that both need
            stay whole; they are taken again of the results. Out of ``reshape``, ``slice`` and
            ``transpose``.
        on_escape: what to do where a value that would be gone is read elsewhere too. ``refuse``
            leaves all as it is: nothing is computed twice. ``recompute`` fuses where every other
            reader is fused as well: each of them computes the value again. ``keep`` fuses in any
            case: the value is computed once more, for the other readers. None: as the target's
            costs say.
        each: at least so many matches must share all but their last call (one norm with several
            readers), or none of them is taken. However many there are, all that match are. Equal
            calls count once where ``share-common`` has made them one.
        where: conditions on the letters and integer attributes of the signature, such as
            ``C % 128 == 0`` or ``C >= 64``; they must be known to hold before the call.
        predicate: a condition as code, where data cannot say it.

    Raises:
        GraphError: a signature or body that is none, or a replacement that drops what is found, or
            that cannot have its types. The message names the rule.
        ArgumentError: an argument of another kind.
    """

    def __init__(
        self,
        signature: str,
        find: Body | list[Body] | tuple[Body, ...],
        replace: Body,
        *,
        via: Sequence[str] = ("reshape", "slice"),
        on_escape: str | None = None,
        each: int = 1,
        where: Sequence[str] = (),
        predicate: Predicate | None = None,
    ) -> None:
        names = Names.of(signature)
        bodies = list(find) if isinstance(find, list | tuple) else [find]
        self.signature = signature
        self.find = tuple(text for body in bodies for text in texts(names, body, "find"))
        self.replace = single_text(names, replace)
        self.via = tuple(_words(names, "via", via))
        self.on_escape = on_escape
        self.each = _count(names, each)
        self.where = tuple(_words(names, "where", where))
        self.predicate = predicate
        if predicate is not None and not isinstance(predicate, Predicate):
            raise _core.ArgumentError(
                f"{names.rule}: predicate: expected a Predicate, got {predicate!r}"
            )
        self._native = tuple(
            _core.make_rules(
                signature=signature,
                find=list(self.find),
                replace=self.replace,
                via=list(self.via),
                on_escape=on_escape,
                each=self.each,
                where=list(self.where),
                predicate=_stand_in(predicate),
            )
        )

    @property
    def name(self) -> str:
        """The name in the signature: what misses, rewrites and counts call it."""
        return self._native[0].name

    @property
    def native(self) -> tuple[_core.Rule, ...]:
        """A pattern for each text to find."""
        return self._native

    def describe(self) -> str:
        """The rule for people: what it finds as drawings, what stands there then, and when."""
        from fusible.patterns import draw

        parts = [self.signature]
        for number, native in enumerate(self._native):
            parts += [f"\n{'or' if number else 'finds'}", _indented(draw(native))]
        parts += ["\nputs in place", _indented(self.replace)]
        parts += [f"\n{line}" for line in self._terms()]
        return "\n".join(parts) + "\n"

    def _terms(self) -> Iterator[str]:
        if self.via:
            yield f"looks through {', '.join(self.via)}"
        if self.on_escape is not None:
            cost = _COSTS[self.on_escape]
            yield f"where a value inside is read elsewhere: {self.on_escape}, {cost}"
        if self.each > 1:
            yield f"at least {self.each} that share all but their last call"
        for condition in self.where:
            yield f"where {condition}"
        if self.predicate is not None:
            yield f"where {self.predicate.name}, version {self.predicate.version}"

    def __str__(self) -> str:
        finds = [f"find\n{_indented(text)}" for text in self.find]
        return "\n".join([self.signature, *finds, f"replace\n{_indented(self.replace)}"]) + "\n"

    def __repr__(self) -> str:
        return f"<fusible rule {self.signature}>"


_COSTS = {
    "refuse": "so that nothing is computed twice",
    "recompute": "so that each fused call computes it again",
    "keep": "so that it is computed once more for them",
}


class Finding:
    """The first half of a rule: what it finds. `replace` makes it whole."""

    def __init__(self, signature: str, find: Callable[..., Any], options: dict[str, Any]) -> None:
        self._signature = signature
        self._find = find
        self._options = options

    def replace(self, function: Callable[..., Any]) -> Rule:
        """The rule that puts what `function` records in place of what is found."""
        return Rule(self._signature, self._find, function, **self._options)


def rule(signature: str, **options: Any) -> Callable[[Callable[..., Any]], Finding]:
    """Makes a rule of two functions: this decorates the one that is found.

    Args:
        signature: as of `Rule`.
        options: the other arguments of `Rule`, by name.
    """
    return lambda find: Finding(signature, find, options)


def natives(rules: Sequence[Rule]) -> list[_core.Rule]:
    """The patterns of some rules.

    Raises:
        ArgumentError: one of them is no rule.
    """
    for each in rules:
        if not isinstance(each, Rule):
            raise _core.ArgumentError(f"rules: expected rules.Rule, got {each!r}")
    return [native for each in rules for native in each.native]


def _stand_in(predicate: Predicate | None) -> tuple[str, str, Callable[..., str]] | None:
    return None if predicate is None else (predicate.name, predicate.version, predicate.refusal)


def _words(names: Names, what: str, words: Sequence[str]) -> Sequence[str]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise _core.ArgumentError(f"{names.rule}: {what}: expected a list of texts, got {words!r}")
    return words


def _count(names: Names, each: int) -> int:
    if isinstance(each, bool) or not isinstance(each, int) or not 1 <= each < 2**31:
        raise _core.ArgumentError(f"{names.rule}: each: expected a number from 1, got {each!r}")
    return each


def _indented(text: str) -> str:
    return indent(dedent(text).strip(), "  ")
