// What a view operator (reshape, slice, transpose) leaves of its operand's dimensions, and the same
// view of another value. Everything that knows these operators by name is here.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace fusible {

bool IsView(const Node& node);

// How many first dimensions two shapes have in common. Symbols are compared by name.
int CommonDims(const Shape& a, const Shape& b);

// How many first dimensions a view leaves as they are: an index in them selects the same elements
// before and after, so rows over these dimensions can be viewed one by one.
int KeptDims(const Graph& graph, const Node& view);

// Whether a view leaves the last `trailing` dimensions as they are, whole and side by
// side, so that an operator which works on these dimensions alone gives the same before and after
// it.
bool KeepsTrailing(const Graph& graph, const Node& view, int trailing);

// The attributes with which the same view is taken of a value of another type, which has the same
// leading dimensions and others behind them than the view keeps. nullopt where a reshape would need
// two sizes that only the call knows, or a transpose a dimension that is not there.
std::optional<Attrs> ReplayAttrs(const Graph& graph, const Node& view, const Type& type);

// The one way to write the attributes of this view: sizes as numbers where they are known, else 0
// for a dimension that stays and -1 for the other; a dimension counted from the front. base: the
// shape it is taken of. nullopt where there is no such way (two unknown sizes that move).
std::optional<Attrs> CanonicalViewAttrs(const Op& view, const Attrs& attrs, const Shape& base,
                                        const Shape& result);

// Whether the view is its operand.
bool IsIdentityView(const Graph& graph, const Node& view);

}  // namespace fusible
