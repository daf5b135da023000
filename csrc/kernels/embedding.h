// Gathers rows of a table: out row r is table row ids[r], bit for bit.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct EmbeddingArgs {
  Block ids;    // i32 or i64, one a row, inside the table
  Block table;  // [V, cols], whole
  Block out;
  int64_t rows, cols;
};

void Embedding(const EmbeddingArgs& args);

}  // namespace fusible::kernels
