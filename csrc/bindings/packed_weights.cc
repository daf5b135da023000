#include "bindings/packed_weights.h"

#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "bindings/bind.h"
#include "bindings/unlocked.h"
#include "core/cat.h"
#include "core/error.h"
#include "kernels/matmul.h"
#include "runtime/packed_weight.h"

namespace fusible {
namespace {

constexpr const char* kMark = "__fusible_packed__";  // -> (bytes, dtype, shape)

Sizes ToSizes(const std::vector<int64_t>& shape) {
  if (shape.size() > kMaxRank) throw ShapeError("pack_weight: w: expected shape [N, K]");
  Sizes sizes;
  for (const int64_t size : shape) sizes.push_back(size);
  return sizes;
}

DType RequireDType(const std::string& name, const Argument& what) {
  if (const auto dtype = FindDType(name)) return *dtype;
  throw DTypeError(Cat(what, ": expected a dtype, got ", name));
}

py::object ToArray(Buffer buffer) {
  auto owner = std::make_unique<Buffer>(std::move(buffer));
  const py::ssize_t bytes = owner->bytes();
  auto* data = reinterpret_cast<int8_t*>(owner->data());
  const py::capsule base(owner.release(), [](void* held) { delete static_cast<Buffer*>(held); });
  return py::array_t<int8_t>(bytes, data, base);
}

py::object PackArray(const py::object& w) {
  const BorrowedArray read = ReadArray(w, {"pack_weight", "", "w"});
  const auto pack = [&] {
    const Unlocked unlocked;
    return Pack(read.view);
  };
  return ToArray(pack());
}

std::string FormName(kernels::MatmulForm form) {
  static constexpr const char* kNames[] = {"dots", "register_dots", "registers", "panels", "codes"};
  return kNames[static_cast<size_t>(form)];
}

py::dict DescribeMachine() {
  const kernels::MatmulMachine m = kernels::ThisMachine();
  return py::dict(py::arg("panel") = m.panel, py::arg("tile_rows") = m.tile_rows,
                  py::arg("dots") = m.dots, py::arg("vbmi") = m.vbmi,
                  py::arg("threads") = m.threads);
}

// What ReadArray takes, as an array of NumPy on the same memory.
py::object AsArray(const py::handle& object) {
  const BorrowedArray read = ReadArray(object, {"pack_weight", "", "w"});
  return ArrayOf(read.view, read.owner);
}

py::dict DescribePlan(const kernels::MatmulProblem& problem, const kernels::MatmulMachine& m) {
  if (m.threads < 1 || m.panel < 1 || m.tile_rows < 1) {
    throw ArgumentError(
        Cat("matmul_plan: expected threads, panel and tile_rows of at least 1, got ", m.threads,
            ", ", m.panel, " and ", m.tile_rows));
  }
  const kernels::MatmulPlan plan = kernels::PlanMatmul(problem, m);
  return py::dict(py::arg("form") = FormName(plan.form), py::arg("chunk_rows") = plan.chunk_rows,
                  py::arg("block_rows") = plan.block_rows,
                  py::arg("block_depth") = plan.block_depth, py::arg("grain") = plan.grain);
}

}  // namespace

bool IsPackedWeight(const py::handle& object) {
  return !py::isinstance<py::array>(object) && py::hasattr(object, kMark);
}

BorrowedArray ReadPackedWeight(const py::handle& object, const Argument& what) {
  const py::tuple parts = object.attr(kMark)();
  const BorrowedArray bytes = ReadArray(parts[0], what);
  TensorView view{.data = bytes.view.data,
                  .dtype = RequireDType(parts[1].cast<std::string>(), what),
                  .shape = ToSizes(parts[2].cast<std::vector<int64_t>>()),
                  .strides = {}};
  view.strides = ContiguousStrides(view.shape);
  const int64_t got = bytes.view.Count() * static_cast<int64_t>(Bytes(bytes.view.dtype));
  const int64_t expected = PackedBytes(view.dtype, view.shape);
  if (got != expected || !bytes.view.IsContiguous()) {
    throw ArgumentError(Cat(what, ": expected ", expected, " bytes of a packed weight ",
                            Name(view.dtype), view.shape, ", got ", got));
  }
  if (expected > 0 && reinterpret_cast<uintptr_t>(view.data) % kAlignment != 0) {
    throw ArgumentError(Cat(what, ": expected a packed weight aligned to ", kAlignment, " bytes"));
  }
  return {view, bytes.owner};
}

BorrowedArray ReadWeight(const py::handle& object, const Argument& what) {
  return IsPackedWeight(object) ? ReadPackedWeight(object, what) : ReadArray(object, what);
}

std::string DigestOfPacked(const py::handle& object) {
  return IsPackedWeight(object) ? object.attr("digest").cast<std::string>() : "";
}

void BindPackedWeights(py::module_& m) {
  m.def("pack_weight", &PackArray, py::arg("w"),
        "The bytes of w, [N, K], as kernels of products read them.");
  m.def("as_array", &AsArray, py::arg("w"),
        "What pack_weight takes, as an array of NumPy on the same memory.");
  m.def(
      "packed_bytes",
      [](const std::string& dtype, const std::vector<int64_t>& shape) {
        return PackedBytes(RequireDType(dtype, {"packed_bytes", "", "dtype"}), ToSizes(shape));
      },
      py::arg("dtype"), py::arg("shape"), "How many they are.");
  m.def(
      "matmul_plan",
      [](int64_t rows, int64_t cols, int64_t depth, const std::string& rows_dtype,
         const std::string& weight_dtype, bool packed, bool dots, bool vbmi, int64_t panel,
         int64_t tile_rows, int64_t threads) {
        const DType x = RequireDType(rows_dtype, {"matmul_plan", "", "rows_dtype"});
        const DType w = RequireDType(weight_dtype, {"matmul_plan", "", "weight_dtype"});
        return DescribePlan({rows, cols, depth, x, w, packed},
                            {panel, tile_rows, dots, vbmi, threads});
      },
      py::arg("rows"), py::arg("cols"), py::arg("depth"), py::kw_only(),
      py::arg("rows_dtype") = "bf16", py::arg("weight_dtype") = "bf16", py::arg("packed") = false,
      py::arg("dots") = false, py::arg("vbmi") = false, py::arg("panel") = 32,
      py::arg("tile_rows") = 12, py::arg("threads") = 1,
      "How a product runs: a pure function of the problem and of a machine.");
  m.def("matmul_machine", &DescribeMachine,
        "This machine, with the instruction set and the threads of now, as matmul_plan takes it.");
}

}  // namespace fusible
