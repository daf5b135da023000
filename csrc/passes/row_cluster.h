// Row operators that could be in one region, or compute what others of them give, as a problem for
// the search.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ir/target.h"
#include "passes/grouping.h"
#include "passes/row_search.h"

namespace fusible {

// What a row operator reads: a value, seen through views; a part of it counts as itself.
struct RowOperand {
  ValueId read = kAbsent;
  ValueId source = kAbsent;
  int64_t bytes = 0;  // per row; a whole operand is read once for all rows, and counts nothing
};

std::vector<RowOperand> OperandsOf(const RowGraph& rows, int32_t node);

// Whether something but these row operators reads the value.
bool IsNeeded(const RowGraph& rows, ValueId value, const Members& members);

// Values of members that something else reads.
std::set<ValueId> WrittenBy(const RowGraph& rows, const Members& members);

// Bytes per row that the members read of others, and write.
int64_t MovedBytes(const RowGraph& rows, const Members& members, const std::set<ValueId>& written);

// Scratch of a region that writes these values; kNever where there is no such region for another
// reason, or its rows have no known size.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
int64_t LiveBytes(const RowGraph& rows, const Members& members, const std::set<ValueId>& written);

class Cluster {
 public:
  // steps: row operators that stay together; repeatable: those of them that several regions may
  // compute. What is given must outlive this.
  Cluster(const RowGraph& rows, const Target& target, const Grouping& groups,
          std::vector<Members> steps, const Members& repeatable);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // The regions that move the fewest bytes, if these are below the bound; nullopt also where there
  // are too many regions to try.
  std::optional<RowPlan> Search(int64_t bound) const;
  Members MembersOf(Bits steps) const;
  std::set<ValueId> ValuesOf(Bits values) const;

 private:
  void AddValues(size_t step);
  std::set<int> ReadsOf(const Members& step);
  int NumberOf(const RowOperand& operand);
  void AddStep(const Members& nodes, const std::set<int>& reads, const Members& repeatable);
  void AddOrder(size_t first, const Grouping& groups);

  const RowGraph& rows_;
  const Target& target_;
  std::vector<Members> steps_;
  Members all_;
  bool is_searchable_ = false;
  std::map<ValueId, int> values_;                     // -> number in the problem
  std::map<std::pair<ValueId, int64_t>, int> reads_;  // what is read, and bytes -> number
  RowProblem problem_;
};

}  // namespace fusible
