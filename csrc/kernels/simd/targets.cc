#include "kernels/simd/targets.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "core/cat.h"
#include "core/error.h"
#include "hwy/highway.h"
#include "kernels/simd/byte_extensions.h"

namespace fusible::kernels {
namespace {

// What Highway's targets have no name for.
struct Extras {
  bool bf16 = false;
  ByteExtensions bytes;
};

// A target that Highway compiles for, with or without extras.
struct Isa {
  int64_t target = 0;
  Extras extras;
  std::string name;
};

// The sets of a mask of targets, best first: Highway gives the better target the lower bit.
std::vector<Isa> IsasOf(int64_t mask, Extras extras) {
  std::vector<Isa> isas;
  for (; mask != 0; mask &= mask - 1) {
    const int64_t target = mask & -mask;
    std::string name = hwy::TargetName(target);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (target == HWY_AVX3) {
      if (extras.bf16) isas.push_back({target, extras, name + "_bf16"});
      if (extras.bytes.vnni) isas.push_back({target, {.bytes = extras.bytes}, name + "_vnni"});
    }
    isas.push_back({target, {}, name});
  }
  return isas;
}

// What the CPU has, asked once, before any choice was forced.
const std::vector<Isa>& Present() {
  static const std::vector<Isa> isas =
      IsasOf(hwy::SupportedTargets() & (HWY_TARGETS), {CpuConvertsBf16(), ByteExtensionsOfCpu()});
  return isas;
}

std::vector<std::string> NamesOf(const std::vector<Isa>& isas) {
  std::vector<std::string> names;
  for (const Isa& isa : isas) names.push_back(isa.name);
  return names;
}

const Isa*& Chosen() {
  static const Isa* isa = &Present().front();
  return isa;
}

// Chosen here and not at the first dispatch, so that calls from several threads never race to
// choose.
void Choose(const Isa& isa) {
  Chosen() = &isa;
  bf16_conversion = isa.extras.bf16;
  byte_extensions = isa.extras.bytes;
  hwy::SetSupportedTargetsForTest(isa.target);
  hwy::GetChosenTarget().Update(isa.target);
}

}  // namespace

std::vector<std::string> CompiledIsas() {
  return NamesOf(IsasOf(HWY_TARGETS, {true, {true, true}}));
}

std::vector<std::string> PresentIsas() { return NamesOf(Present()); }

std::string ChosenIsa() { return Chosen()->name; }

void ForceIsa(std::string_view name) {
  const std::vector<Isa>& present = Present();
  if (name.empty()) return Choose(present.front());
  const auto found = std::ranges::find(present, name, &Isa::name);
  if (found != present.end()) return Choose(*found);
  std::string known;
  for (const Isa& isa : present) known += (known.empty() ? "" : ", ") + isa.name;
  throw ArgumentError(Cat("instruction set: expected one of ", known, ", got \"", name, "\""));
}

}  // namespace fusible::kernels
