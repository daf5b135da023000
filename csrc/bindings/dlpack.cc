#include "bindings/dlpack.h"

#include "core/cat.h"
#include "core/error.h"
#include "ops/check.h"

namespace fusible {
namespace {

// The layout that the DLPack specification fixes.
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // elements; NULL: contiguous
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

constexpr int32_t kCpu = 1;

struct Format {
  uint8_t code, bits;
  DType dtype;
};
constexpr Format kFormats[] = {
    {2, 32, DType::kF32},      {4, 16, DType::kBF16}, {2, 16, DType::kF16}, {10, 8, DType::kE4M3FN},
    {11, 8, DType::kE4M3FNUZ}, {12, 8, DType::kE5M2}, {0, 8, DType::kI8},   {0, 32, DType::kI32},
    {0, 64, DType::kI64},      {1, 64, DType::kU64},
};

DType ToDType(const DLDataType& dtype, const Argument& what) {
  for (const Format& format : kFormats) {
    if (format.code == dtype.code && format.bits == dtype.bits && dtype.lanes == 1) {
      return format.dtype;
    }
  }
  throw DTypeError(Cat(what, ": expected ", DTypesText(what.dtype), ", got DLPack type code ",
                       int{dtype.code}, " with ", int{dtype.bits}, " bits"));
}

}  // namespace

TensorView ReadDLPack(const py::capsule& capsule, const Argument& what) {
  const auto* managed =
      static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!managed) throw py::error_already_set();
  const DLTensor& tensor = managed->tensor;
  if (tensor.device_type != kCpu) {
    throw UnsupportedError(
        Cat(what, ": expected an array on the CPU, got one on DLPack device ", tensor.device_type));
  }
  if (tensor.ndim > kMaxRank) {
    throw ShapeError(Cat(what, ": expected at most ", kMaxRank, " dimensions, got ", tensor.ndim));
  }
  TensorView view;
  view.dtype = ToDType(tensor.dtype, what);
  view.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  for (int i = 0; i < tensor.ndim; ++i) view.shape.push_back(tensor.shape[i]);
  view.strides = ContiguousStrides(view.shape);
  for (int i = 0; tensor.strides && i < tensor.ndim; ++i) view.strides[i] = tensor.strides[i];
  return view;
}

}  // namespace fusible
