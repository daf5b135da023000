#include "kernels/matmul_plan.h"

#include <algorithm>

namespace fusible::kernels {
namespace {

constexpr int64_t kChunkBytes = int64_t{8} << 20;  // of converted rows
constexpr int64_t kMaxChunkRows = 512;
constexpr int64_t kMinChunkRows = 96;   // fewer would pack the weights too often
constexpr int64_t kMinBlockRows = 48;   // packing a panel costs about as much as ten rows
constexpr int64_t kTilesPerThread = 4;  // so that the last thread to finish is not far behind
constexpr int64_t kRegisterTiles = 4;   // more rows are worth storing what was decoded
// Of fp8 weights by fma, which has each pair to unpack besides, and registers for so many rows. Dot
// products hide the decoding: from registers they are faster than from a panel for any number of
// rows (1.6 times for 16, 1.1 for 192).
constexpr int64_t kFewCodeRows = 8;
constexpr int64_t kGrainWork = 1 << 16;  // multiplications: about 2 us

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool IsCode(DType dtype) { return Bytes(dtype) == 1; }

bool ByPairs(const MatmulProblem& p, const MatmulMachine& m) {
  return m.dots && (p.x == DType::kBF16 || IsCode(p.x)) && (m.vbmi || !IsCode(p.w));
}

bool InRegisters(const MatmulProblem& p, const MatmulMachine& m) {
  if (!p.packed) return false;
  if (IsCode(p.w)) return m.vbmi && (ByPairs(p, m) || p.rows <= kFewCodeRows);
  return p.rows <= kRegisterTiles * m.tile_rows;
}

MatmulForm FormOf(const MatmulProblem& p, const MatmulMachine& m) {
  if (p.w == DType::kI8) return MatmulForm::kCodes;
  const bool registers = InRegisters(p, m);
  if (ByPairs(p, m)) {
    return registers && IsCode(p.w) ? MatmulForm::kRegisterDots : MatmulForm::kDots;
  }
  return registers ? MatmulForm::kRegisters : MatmulForm::kPanels;
}

// Of a converted row, and of a panel.
int64_t ElementBytes(MatmulForm form) {
  if (form == MatmulForm::kCodes) return 1;
  return TakesDots(form) ? 2 : 4;
}

int64_t ChunkRows(const MatmulProblem& p, int64_t element) {
  const int64_t row_bytes = std::max<int64_t>(p.depth, 1) * element;
  return std::clamp(kChunkBytes / row_bytes, kMinChunkRows, kMaxChunkRows);
}

// All rows of a chunk, or fewer where that would leave threads without work.
int64_t BlockRows(const MatmulProblem& p, const MatmulMachine& m, int64_t rows) {
  if (m.threads == 1) return rows;
  const int64_t wanted = CeilDivide(kTilesPerThread * m.threads, CeilDivide(p.cols, m.panel));
  return std::min(rows, std::max(CeilDivide(rows, wanted), kMinBlockRows));
}

// A weight that is multiplied as it lies is taken in one go: each tile reads the panel and asks
// ahead for it. In blocks of the first cache the first tile waited for memory, which idled during
// the others: 1.25 times faster for 16 rows, 1.06 for 192. But where registers are few, a tile is
// half a panel wide and reads it twice: that is faster from the first cache.
bool ReadsOnce(MatmulForm form, int64_t rows, const MatmulMachine& m) {
  constexpr int64_t kFewRegisters = 3;  // rows of a tile
  return form != MatmulForm::kRegisters || rows <= m.tile_rows || m.tile_rows > kFewRegisters;
}

}  // namespace

MatmulPlan PlanMatmul(const MatmulProblem& p, const MatmulMachine& m) {
  MatmulPlan plan = {};
  plan.form = FormOf(p, m);
  const int64_t element = ElementBytes(plan.form), stored = static_cast<int64_t>(Bytes(p.w));
  plan.chunk_rows = ChunkRows(p, element);
  const int64_t rows = std::min(p.rows, plan.chunk_rows);
  plan.block_rows = p.cols == 0 ? rows : BlockRows(p, m, rows);
  const bool in_place = DecodesInRegisters(plan.form) || (p.packed && stored == element);
  plan.block_depth = kPanelBytes / (m.panel * (in_place ? stored : element));
  if (in_place && ReadsOnce(plan.form, rows, m)) plan.block_depth = std::max<int64_t>(p.depth, 1);
  const int64_t work = plan.block_rows * m.panel * std::max<int64_t>(p.depth, 1);
  plan.grain = std::max<int64_t>(1, kGrainWork / std::max<int64_t>(work, 1));
  return plan;
}

MatmulTiles::MatmulTiles(int64_t rows, int64_t cols, int64_t block_rows, int64_t panel)
    : rows_(rows),
      cols_(cols),
      block_rows_(block_rows),
      panel_(panel),
      row_blocks_(rows == 0 ? 0 : CeilDivide(rows, block_rows)),
      panels_(CeilDivide(cols, panel)) {}

MatmulTile MatmulTiles::operator[](int64_t index) const {
  const int64_t row = index % row_blocks_ * block_rows_;
  const int64_t col = index / row_blocks_ * panel_;
  return {row, std::min(block_rows_, rows_ - row), col, std::min(panel_, cols_ - col)};
}

}  // namespace fusible::kernels
