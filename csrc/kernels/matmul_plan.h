// How a product of `rows` rows with a matrix of `cols` columns runs. Bits do not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace fusible::kernels {

// Of a panel: half of a first cache. Rows and sums have the other.
inline constexpr int64_t kPanelBytes = 16 << 10;

enum class MatmulForm {
  kDots,          // pairs of bf16 by the CPU's dot product
  kRegisterDots,  // the same where a packed weight's 8-bit floats become pairs in registers
  kRegisters,     // a packed weight is decoded in registers, again for each tile of rows
  kPanels,        // blocks of the weight become f32 in the first cache, once for many tiles of rows
  kCodes,         // int8 by int8, in int32: a packed weight as it lies, else panels of it
};

inline bool TakesDots(MatmulForm form) {
  return form == MatmulForm::kDots || form == MatmulForm::kRegisterDots;
}
inline bool DecodesInRegisters(MatmulForm form) {
  return form == MatmulForm::kRegisters || form == MatmulForm::kRegisterDots;
}

struct MatmulProblem {
  int64_t rows, cols, depth;
  DType x, w;           // of the rows, and of the weight
  bool packed = false;  // the weight
};

// What a plan depends on beside the problem: the kernels of an instruction set, and threads.
struct MatmulMachine {
  int64_t panel = 32;      // columns of a tile
  int64_t tile_rows = 12;  // rows of a tile
  bool dots = false;       // has a dot product of pairs of bf16
  bool vbmi = false;       // decodes 8-bit floats to such pairs, in registers
  int64_t threads = 1;
};

struct MatmulPlan {
  MatmulForm form;
  int64_t chunk_rows;   // are converted and multiplied at a time, to stay in the shared cache
  int64_t block_rows;   // of a chunk, by one panel of columns: the work of one thread
  int64_t block_depth;  // of a panel that stays in the first cache
  int64_t grain;        // panels of block_rows that are worth waking a thread for

  friend bool operator==(const MatmulPlan&, const MatmulPlan&) = default;
};

MatmulPlan PlanMatmul(const MatmulProblem& problem, const MatmulMachine& machine);

struct MatmulTile {
  int64_t row, rows;  // [row, row + rows) of the chunk
  int64_t col, cols;
};

// The tiles of a chunk of `rows` rows. Panels follow one another fastest along the rows, so a
// thread reads weights in order.
class MatmulTiles {
 public:
  MatmulTiles(int64_t rows, int64_t cols, int64_t block_rows, int64_t panel);

  int64_t size() const { return row_blocks_ * panels_; }
  MatmulTile operator[](int64_t index) const;

 private:
  int64_t rows_, cols_, block_rows_, panel_, row_blocks_, panels_;
};

}  // namespace fusible::kernels
