#include "kernels/simd/targets.h"

#include <cctype>
#include <cstdint>

#include "core/cat.h"
#include "core/error.h"
#include "hwy/highway.h"

namespace fusible::kernels {
namespace {

std::string NameOf(int64_t target) {
  std::string name = hwy::TargetName(target);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// What the CPU has, asked once, before any choice was forced.
int64_t PresentMask() {
  static const int64_t mask = hwy::SupportedTargets() & (HWY_TARGETS);
  return mask;
}

// Highway numbers its targets so that the lower bit is the better one.
std::vector<int64_t> Bits(int64_t mask) {
  std::vector<int64_t> bits;
  for (; mask != 0; mask &= mask - 1) bits.push_back(mask & -mask);
  return bits;
}

std::vector<std::string> Names(int64_t mask) {
  std::vector<std::string> names;
  for (int64_t bit : Bits(mask)) names.push_back(NameOf(bit));
  return names;
}

int64_t& ChosenBit() {
  static int64_t bit = Bits(PresentMask()).front();
  return bit;
}

// Chosen here and not at the first dispatch, so that calls from several threads never race to
// choose.
void Choose(int64_t bit) {
  ChosenBit() = bit;
  hwy::SetSupportedTargetsForTest(bit);
  hwy::GetChosenTarget().Update(bit);
}

}  // namespace

std::vector<std::string> CompiledIsas() { return Names(HWY_TARGETS); }

std::vector<std::string> PresentIsas() { return Names(PresentMask()); }

std::string ChosenIsa() { return NameOf(ChosenBit()); }

void ForceIsa(std::string_view name) {
  const std::vector<int64_t> present = Bits(PresentMask());
  if (name.empty()) return Choose(present.front());
  std::string known;
  for (int64_t bit : present) {
    if (NameOf(bit) == name) return Choose(bit);
    known += (known.empty() ? "" : ", ") + NameOf(bit);
  }
  throw ArgumentError(Cat("instruction set: expected one of ", known, ", got \"", name, "\""));
}

}  // namespace fusible::kernels
