// Softmax attention over a paged cache of keys and values. Keys count in blocks of 128 from the
// first key of a sequence: each block gives a maximum, a sum and weighted values, and these are
// merged in ascending order, so the bits of a query do not depend on how queries are grouped.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct AttentionArgs {
  Block q, y;  // one float dtype; rows are tokens: [heads][size], [heads][value_size]
  // Rows are [blocks][page][kv_heads], of size or value_size elements. The values may lie in the
  // rows of the keys.
  Block k_cache, v_cache;
  // Checked by the caller. The queries of sequence s are tokens [query_start[s], query_start[s +
  // 1]), the last of its lengths[s] keys; no query of a sequence without keys sees one, and gives
  // zeros.
  const int32_t* block_table;  // [sequences][table_width]
  const int32_t* query_start;  // [sequences + 1]
  const int32_t* lengths;      // [sequences]
  int64_t sequences, table_width, page;
  int64_t heads, kv_heads;  // heads is a multiple of kv_heads
  int64_t size, value_size;
  float scale;
  int64_t window;  // a query sees that many keys, itself the last; 0: all before it
  float softcap;   // scores become softcap * tanh(score / softcap); 0: they do not
};

void Attention(const AttentionArgs& args);

}  // namespace fusible::kernels
