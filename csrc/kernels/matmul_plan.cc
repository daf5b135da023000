#include "kernels/matmul_plan.h"

#include <algorithm>

#include "core/threads.h"

namespace fusible::kernels {
namespace {

constexpr int64_t kChunkFloats = int64_t{2} << 20;  // 8 MiB of f32 rows
constexpr int64_t kMaxChunkRows = 512;
constexpr int64_t kMinChunkRows = 96;    // fewer would pack the weights too often
constexpr int64_t kMinBlockRows = 48;    // packing a panel costs about as much as ten rows
constexpr int64_t kTilesPerThread = 4;   // so that the last thread to finish is not far behind
constexpr int64_t kGrainWork = 1 << 16;  // multiplications: about 2 us

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

int64_t ChunkRows(int64_t depth) {
  return std::clamp(kChunkFloats / std::max<int64_t>(depth, 1), kMinChunkRows, kMaxChunkRows);
}

MatmulTiles::MatmulTiles(int64_t rows, int64_t cols, int64_t depth, int64_t panel)
    : rows_(rows), cols_(cols), panel_(panel), panels_(CeilDivide(cols, panel)) {
  if (rows == 0 || cols == 0) return;
  const int64_t wanted = CeilDivide(kTilesPerThread * ThreadCount(), panels_);
  block_ = rows;
  if (ThreadCount() > 1) block_ = std::min(rows, std::max(CeilDivide(rows, wanted), kMinBlockRows));
  row_blocks_ = CeilDivide(rows, block_);
  grain_ = std::max<int64_t>(1, kGrainWork / (block_ * panel * std::max<int64_t>(depth, 1)));
}

MatmulTile MatmulTiles::operator[](int64_t index) const {
  const int64_t row = index % row_blocks_ * block_;
  const int64_t col = index / row_blocks_ * panel_;
  return {row, std::min(block_, rows_ - row), col, std::min(panel_, cols_ - col)};
}

}  // namespace fusible::kernels
