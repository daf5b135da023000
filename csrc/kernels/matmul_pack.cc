#include "kernels/matmul_pack.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "core/threads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_pack.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// kLanes columns from `col` on.
template <class T>
void PackLanes(const PackArgs& a, int64_t col) {
  const std::byte* rows[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    const int64_t row = HWY_MIN(col + static_cast<int64_t>(i), a.layout.cols - 1);
    rows[i] = reinterpret_cast<const std::byte*>(a.w.Row<T>(row));
  }
  auto* panel = reinterpret_cast<float*>(a.packed + col / kPackedPanel * a.layout.panel_bytes());
  TransposeRows<Words<T>>(rows, a.layout.depth * sizeof(T), 0, panel + col % kPackedPanel,
                          kPackedPanel);
}

void PackPanels(const PackArgs& a, int64_t begin, int64_t end) {
  const auto pack = [&](auto type) HWY_ATTR {
    for (int64_t col = begin * kPackedPanel; col < end * kPackedPanel; col += kLanes) {
      PackLanes<decltype(type)>(a, col);
    }
  };
  if (Bytes(a.layout.dtype) == 1) return VisitCode(a.layout.dtype, pack);
  VisitFloat(a.layout.dtype, pack);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {
namespace {

constexpr int64_t kWordBytes = 4, kTileBytes = 16;
constexpr int64_t kGrainBytes = 1 << 18;  // some ten microseconds

int32_t FloorOf(std::span<const uint16_t> bits) {
  uint16_t least = 0xFFFF;
  for (const uint16_t one : bits) {
    least = std::min(least, static_cast<uint16_t>((one & 0x7FFF) - 1));
  }
  return ExponentFloor(least);
}

// Bytes of a panel that stand behind all panels.
int64_t BehindPanel(DType dtype) {
  if (dtype == DType::kBF16) return sizeof(int32_t);
  return dtype == DType::kI8 ? kPackedPanel * sizeof(int32_t) : 0;
}

// What follows the panels, of panels [begin, end).
void PackFloors(const PackArgs& a, int64_t begin, int64_t end) {
  const auto halves = static_cast<size_t>(a.layout.panel_bytes()) / sizeof(uint16_t);
  auto* floors = reinterpret_cast<int32_t*>(a.packed + a.layout.panels() * a.layout.panel_bytes());
  for (int64_t panel = begin; panel < end; ++panel) {
    const std::byte* from = a.layout.Panel(a.packed, panel);
    floors[panel] = FloorOf({reinterpret_cast<const uint16_t*>(from), halves});
  }
}
void PackSums(const PackArgs& a, int64_t begin, int64_t end) {
  auto* sums = reinterpret_cast<int32_t*>(a.packed + a.layout.panels() * a.layout.panel_bytes());
  for (int64_t col = begin * kPackedPanel; col < end * kPackedPanel; ++col) {
    const int8_t* row = a.w.Row<int8_t>(std::min(col, a.layout.cols - 1));
    sums[col] = std::accumulate(row, row + a.layout.depth, int32_t{0});
  }
}

}  // namespace

HWY_EXPORT(PackPanels);

int64_t PackedLayout::words() const {
  const int64_t bytes = depth * static_cast<int64_t>(Bytes(dtype));
  return (bytes + kTileBytes - 1) / kTileBytes * (kTileBytes / kWordBytes);
}

int64_t PackedLayout::bytes() const { return panels() * (panel_bytes() + BehindPanel(dtype)); }

const std::byte* PackedLayout::Panel(const std::byte* packed, int64_t panel) const {
  return packed + panel * panel_bytes();
}

int32_t PackedLayout::Floor(const std::byte* packed, int64_t panel) const {
  return reinterpret_cast<const int32_t*>(Panel(packed, panels()))[panel];
}

const int32_t* PackedLayout::Sums(const std::byte* packed) const {
  return reinterpret_cast<const int32_t*>(Panel(packed, panels()));
}

void PackWeight(const PackArgs& a) {
  const PackedLayout& layout = a.layout;
  if (layout.cols == 0) return;
  const int64_t grain = 1 + kGrainBytes / std::max<int64_t>(layout.panel_bytes(), 1);
  ParallelFor(layout.panels(), grain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(PackPanels)(a, begin, end);
    if (layout.dtype == DType::kBF16) PackFloors(a, begin, end);
    if (layout.dtype == DType::kI8) PackSums(a, begin, end);
  });
}

}  // namespace fusible::kernels
#endif
