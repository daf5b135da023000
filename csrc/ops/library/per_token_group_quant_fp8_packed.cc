#include "ops/library/library.h"

namespace fusible::library {

Op per_token_group_quant_fp8_packed() {
  return Op("per_token_group_quant_fp8_packed(x: F[..., C], *, "
            "group_size: 16 | 32 | 64 | 128 = 128, "
            "dtype: e4m3fn | e4m3fnuz | e5m2 = e4m3fn variant, "
            "layout: \"row\" | \"col\" | \"col_aligned4\" = \"col_aligned4\" variant, "
            "amax_floor: float >= 1e-30 = 1e-10, fp8_max: float in dtype?)"
            " -> q: dtype[..., C], scales: i32[..., ceil(C/group_size/4)] layout(layout)")
      .Doc(
          "Quantizes each group of a row with a power of two, and packs four of their exponents an "
          "int32. As the block-scaled matrix products of DeepGEMM take them.")
      .Source(
          "DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2; OCP Microscaling formats (MX) "
          "specification, version 1.0, section 5.4.1 (E8M0)")
      .Equals(
          "q, powers = per_token_group_quant_fp8(x, group_size=group_size, dtype=dtype, "
          "scale_format=\"ue8m0\", amax_floor=amax_floor, fp8_max=fp8_max)\n"
          "scales = pack_ue8m0(powers, layout=layout)\n"
          "return q, scales\n");
}

}  // namespace fusible::library
