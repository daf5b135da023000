#include "bindings/prepared_calls.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/calls.h"
#include "bindings/errors.h"
#include "bindings/numpy_api.h"
#include "ops/dispatch.h"

namespace fusible {
namespace {

constexpr size_t kMaxCalls = 64;                                 // of one operator, that are kept
constexpr size_t kMaxWords = kMaxOperands * (kMaxRank + 1) * 2;  // of one call

// How the arrays of a call lie, in words: for each its type and rank, sizes and strides; for each
// given result also the operand whose memory it is. Two calls with the same words and attributes
// differ in addresses alone.
struct Layout {
  Layout() {}  // the words are not cleared: it takes longer than to write them

  bool Add(PyObject* object) {
    if (!PyArray_CheckExact(object)) return false;
    auto* array = reinterpret_cast<PyArrayObject*>(object);
    const int rank = PyArray_NDIM(array);
    if (!PyArray_ISNOTSWAPPED(array) || rank > kMaxRank) return false;
    Put(int64_t{PyArray_TYPE(array)} * (kMaxRank + 1) + rank);
    for (int i = 0; i < rank; ++i) Put(PyArray_DIM(array, i));
    for (int i = 0; i < rank; ++i) Put(PyArray_STRIDE(array, i));
    memory[arrays++] = static_cast<std::byte*>(PyArray_DATA(array));
    return true;
  }

  bool AddOperand(PyObject* object) {
    if (object != Py_None) return Add(object);
    Put(-1);
    memory[arrays++] = nullptr;
    return true;
  }

  bool AddResult(PyObject* object, size_t operands) {
    if (!Add(object)) return false;
    int taken = static_cast<int>(operands) - 1;
    while (taken >= 0 && memory[taken] != memory[arrays - 1]) --taken;
    takes[arrays - 1] = taken;
    Put(taken);
    return PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(object));
  }

  void Put(int64_t word) {
    words[count++] = word;
    hash = (hash ^ static_cast<uint64_t>(word)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }

  std::array<int64_t, kMaxWords> words;
  std::array<std::byte*, kMaxOperands> memory;  // of the operands, then of the results
  std::array<int, kMaxOperands> takes;  // of a given result: an operand that begins with it, or -1
  size_t count = 0, arrays = 0;
  uint64_t hash = 0;
};

// Whether an attribute's value can be told from others without being read again: it never changes.
bool IsPlain(PyObject* value) {
  if (PyTuple_CheckExact(value)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
      if (!PyLong_CheckExact(PyTuple_GET_ITEM(value, i))) return false;
    }
    return true;
  }
  return value == Py_None || PyFloat_CheckExact(value) || PyLong_CheckExact(value) ||
         PyBool_Check(value) || PyUnicode_CheckExact(value) || PyType_Check(value) ||
         PyArray_DescrCheck(value);
}

// Of plain values. 0.0 and -0.0 are not the same, nor are 1 and True.
bool AreSame(PyObject* a, PyObject* b) {
  if (a == b) return true;
  if (Py_TYPE(a) != Py_TYPE(b)) return false;
  if (PyFloat_CheckExact(a)) {
    const double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
    return std::memcmp(&x, &y, sizeof(x)) == 0;
  }
  if (PyLong_CheckExact(a) || PyUnicode_CheckExact(a)) {
    return PyObject_RichCompareBool(a, b, Py_EQ) == 1;
  }
  return false;
}

// Where an array's elements lie around the address of its first, in bytes.
struct Reach {
  int64_t low = 0, high = 0;

  explicit Reach(const TensorView& view) {
    const Extent extent = ExtentOf(view);
    if (extent.begin == extent.end) return;
    low = extent.begin - view.data;
    high = extent.end - view.data;
  }
};

bool Meet(const std::byte* a, const Reach& of_a, const std::byte* b, const Reach& of_b) {
  return a + of_a.low < b + of_b.high && b + of_b.low < a + of_a.high;
}

// A call that passed its checks, for others like it.
class PreparedCall {
 public:
  PreparedCall(const Layout& layout, std::span<PyObject* const> attrs, const CheckedCall& checked,
               bool fresh)
      : words_(layout.words.begin(), layout.words.begin() + static_cast<ptrdiff_t>(layout.count)),
        operands_(checked.operands.size()),
        call_(checked.call) {
    for (PyObject* attr : attrs) attrs_.push_back(py::reinterpret_borrow<py::object>(attr));
    for (const TensorView& view : checked.operands) AddArray(view);
    for (const TensorView& view : checked.results) {
      AddArray(view);
      if (fresh) results_.emplace_back(view.dtype, view.shape, view.strides);
    }
  }

  bool Fits(const Layout& layout, PyObject* const* attrs) const {
    if (layout.count != words_.size()) return false;
    if (std::memcmp(layout.words.data(), words_.data(), layout.count * sizeof(int64_t)) != 0) {
      return false;
    }
    for (size_t i = 0; i < attrs_.size(); ++i) {
      if (!AreSame(attrs_[i].ptr(), attrs[i])) return false;
    }
    return true;
  }

  // Whether given results overlap nothing but the operand whose memory they are. What does may
  // still be legal; that is for all the checks to say.
  bool IsApart(const Layout& layout) const {
    const auto& memory = layout.memory;
    for (size_t r = operands_; r < reach_.size(); ++r) {
      for (size_t i = 0; i < r; ++i) {
        if (static_cast<int>(i) != layout.takes[r] &&
            Meet(memory[r], reach_[r], memory[i], reach_[i]))
          return false;
      }
    }
    return true;
  }

  py::object RunFresh(Layout& layout) const {
    std::array<py::object, kMaxOperands> made;
    for (size_t i = 0; i < results_.size(); ++i) {
      std::tie(made[i], layout.memory[operands_ + i]) = results_[i].Make();
    }
    Run(layout);
    if (results_.size() == 1) return std::move(made[0]);
    py::tuple tuple(results_.size());
    for (size_t i = 0; i < results_.size(); ++i) {
      PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), made[i].release().ptr());
    }
    return tuple;
  }

  void Run(const Layout& layout) const {
    RunUnlocked(*call_, {layout.memory.data(), reach_.size()}, bytes_);
  }

 private:
  void AddArray(const TensorView& view) {
    reach_.emplace_back(view);
    bytes_ += view.Count() * static_cast<int64_t>(Bytes(view.dtype));
  }

  std::vector<int64_t> words_;
  std::vector<py::object> attrs_;
  std::vector<Reach> reach_;         // operands, then results
  std::vector<NewArrayOf> results_;  // empty where the caller gives them
  size_t operands_;
  int64_t bytes_ = 0;
  std::shared_ptr<const EagerCall> call_;
};

// The calls of one operator, the latest new one first. The interpreter's lock guards it.
class PreparedCalls {
 public:
  explicit PreparedCalls(const Op& op)
      : op_(op), operands_(op.signature().params.size()), attrs_(op.signature().attrs.size()) {
    for (const AttrSpec& spec : op.signature().attrs) names_.emplace_back(spec.name);
  }

  const Op& op() const { return op_; }

  py::object Call(PyObject* const* args, size_t count) {
    const bool takes_out = !op_.view();
    if (count != operands_ + attrs_ + takes_out) {
      throw py::type_error("expected every operand and attribute of the operator, by position");
    }
    PyObject* out = takes_out ? args[count - 1] : Py_None;
    if (op_.view()) return CallChecked(op_, Operands(args), Attrs(args), Borrow(out)).result;
    Layout layout;
    const bool told = Describe(args, out, &layout);
    const auto found = told ? Find(layout, args + operands_) : nullptr;
    if (found && out == Py_None) return found->RunFresh(layout);
    if (found && found->IsApart(layout)) {
      found->Run(layout);
      return Given(out);
    }
    CheckedCall checked = CallChecked(op_, Operands(args), Attrs(args), Borrow(out));
    if (told && !found) Keep(layout, {args + operands_, attrs_}, checked, out == Py_None);
    return std::move(checked.result);
  }

 private:
  struct Kept {
    uint64_t hash;
    std::shared_ptr<const PreparedCall> call;
  };

  static py::object Borrow(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

  // A tuple of one array stands for the array.
  py::object Given(PyObject* out) const {
    const bool one = PyTuple_CheckExact(out) && PyTuple_GET_SIZE(out) == 1;
    return Borrow(one ? PyTuple_GET_ITEM(out, 0) : out);
  }

  bool Describe(PyObject* const* args, PyObject* out, Layout* layout) const {
    if (operands_ + op_.signature().results.size() > kMaxOperands) return false;
    for (size_t i = 0; i < operands_; ++i) {
      if (!layout->AddOperand(args[i])) return false;
    }
    if (out == Py_None) return true;
    const bool many = PyTuple_CheckExact(out);
    const size_t results = many ? static_cast<size_t>(PyTuple_GET_SIZE(out)) : 1;
    if (results != op_.signature().results.size()) return false;
    for (size_t i = 0; i < results; ++i) {
      PyObject* result = many ? PyTuple_GET_ITEM(out, static_cast<Py_ssize_t>(i)) : out;
      if (!layout->AddResult(result, operands_)) return false;
    }
    return true;
  }

  // What was found once moves towards the front.
  std::shared_ptr<const PreparedCall> Find(const Layout& layout, PyObject* const* attrs) {
    for (size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i].hash != layout.hash || !kept_[i].call->Fits(layout, attrs)) continue;
      if (i > 0) std::swap(kept_[i], kept_[i - 1]);
      return kept_[i > 0 ? i - 1 : 0].call;
    }
    return nullptr;
  }

  void Keep(const Layout& layout, std::span<PyObject* const> attrs, const CheckedCall& checked,
            bool fresh) {
    if (!checked.call || !std::ranges::all_of(attrs, IsPlain)) return;
    auto call = std::make_shared<const PreparedCall>(layout, attrs, checked, fresh);
    if (kept_.size() == kMaxCalls) kept_.pop_back();
    kept_.insert(kept_.begin(), {layout.hash, std::move(call)});
  }

  py::tuple Operands(PyObject* const* args) const {
    py::tuple tuple(operands_);
    for (size_t i = 0; i < operands_; ++i) {
      PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), Py_NewRef(args[i]));
    }
    return tuple;
  }

  py::dict Attrs(PyObject* const* args) const {
    py::dict dict;
    for (size_t i = 0; i < attrs_; ++i) {
      if (PyDict_SetItem(dict.ptr(), names_[i].ptr(), args[operands_ + i]) < 0) {
        throw py::error_already_set();
      }
    }
    return dict;
  }

  const Op& op_;
  const size_t operands_, attrs_;
  std::vector<py::str> names_;  // of the attributes
  std::vector<Kept> kept_;
};

PyObject* CallByPosition(PyObject* self, PyObject* const* args, Py_ssize_t count) noexcept {
  try {
    auto* calls = static_cast<PreparedCalls*>(PyCapsule_GetPointer(self, nullptr));
    return calls->Call(args, static_cast<size_t>(count)).release().ptr();
  } catch (...) {
    RaiseInPython();
    return nullptr;
  }
}

}  // namespace

py::object MakeCaller(const Op& op) {
  static PyMethodDef method{
      "call", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&CallByPosition)),
      METH_FASTCALL, "Calls the operator: operands, attributes, out, by position."};
  // Never destroyed: what they keep are Python objects, and functions may outlive the interpreter.
  static auto& all = *new std::map<std::string_view, std::unique_ptr<PreparedCalls>>();
  ImportNumpy();
  auto& calls = all[op.name()];
  if (!calls) calls = std::make_unique<PreparedCalls>(op);
  const py::capsule self(calls.get());
  PyObject* made = PyCFunction_New(&method, self.ptr());
  if (!made) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace fusible
