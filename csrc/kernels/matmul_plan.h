// How a product of `rows` rows with a matrix of `cols` columns is split. Bits do not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fusible::kernels {

// Rows that are converted to f32 and multiplied at a time, so that they stay in the shared cache.
int64_t ChunkRows(int64_t depth);

struct MatmulTile {
  int64_t row, rows;  // [row, row + rows) of the chunk
  int64_t col, cols;
};

// The tiles of a chunk: all rows by one panel of columns, or fewer rows where that would leave
// threads without work. Panels follow one another fastest along the rows, so a thread reads weights
// in order.
class MatmulTiles {
 public:
  MatmulTiles(int64_t rows, int64_t cols, int64_t depth, int64_t panel);

  int64_t size() const { return row_blocks_ * panels_; }
  int64_t grain() const { return grain_; }  // tiles that are worth waking a thread for
  int64_t max_rows() const { return block_; }
  MatmulTile operator[](int64_t index) const;

 private:
  int64_t rows_, cols_, panel_, panels_;
  int64_t block_ = 0, row_blocks_ = 0;
  int64_t grain_ = 1;
};

}  // namespace fusible::kernels
