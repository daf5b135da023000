// out = round(f(gate) * up), in f32.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

enum class Activation {
  kSilu,
  kSiluClamped,  // gate at most limit, up within +-limit
  kGelu,         // by the error function
  kGeluTanh,
  kSwigluOai,  // clamped as well: gate * sigmoid(alpha * gate) * (up + 1)
};

struct GatedActivationArgs {
  // One float dtype; rows of 2 * cols and of cols elements. Gates are the first half of a row of x,
  // for kSwigluOai its even elements.
  Block x, out;
  int64_t rows, cols;
  Activation activation;
  float limit = 0, alpha = 0;  // where the activation has them
};

void GatedActivation(const GatedActivationArgs& args);

}  // namespace fusible::kernels
