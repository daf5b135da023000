// out = round(f(first half of x) * second half), in f32.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

enum class Activation { kSilu, kGeluTanh };

struct GatedActivationArgs {
  Block x, out;  // one float dtype; rows of 2 * cols and of cols elements
  int64_t rows, cols;
  Activation activation;
};

void GatedActivation(const GatedActivationArgs& args);

}  // namespace fusible::kernels
