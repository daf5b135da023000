// What group_quant undoes: y = round(code * scale of its group), the product in f32.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct GroupDequantArgs {
  Block codes;   // a one-byte dtype
  Block scales;  // f32, cols / group a row
  Block out;     // a float dtype
  int64_t rows, cols, group;
};

void GroupDequant(const GroupDequantArgs& args);

}  // namespace fusible::kernels
