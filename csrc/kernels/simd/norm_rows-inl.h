// Rows that a norm reads twice or more: as they are stored, or sums that it adds on its way.
#include <cstring>

#include "kernels/add.h"
#include "kernels/kept_row.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sum-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_NORM_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_NORM_ROWS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_NORM_ROWS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_NORM_ROWS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Both classes: FirstReading gives what reads the steps of row r for the first time, AskingFirst
// what is asked for meanwhile. When that is over, EndFirst is told whether the row may have NaNs,
// and At(r) is where it is read again, while `out` is written as WritingInto says.

template <class T>
class StoredRows {
 public:
  StoredRows(const Block& x, const Block& out, int64_t cols) : x_(x), out_(out), cols_(cols) {
    if (!out.stream && LoadsWait(x, out)) kept_.Make(cols * sizeof(T));
  }

  // A short row is read before the one above it is written: see ForRows.
  bool ReadsAhead() const { return !kept_ && cols_ <= kShortRow; }
  HWY_INLINE const T* At(int64_t r) const { return kept_ ? Kept(r) : x_.Row<T>(r); }
  HWY_INLINE auto FirstReading(int64_t r) const {
    if (kept_) std::memcpy(Kept(r), x_.Row<T>(r), cols_ * sizeof(T));
    return [row = At(r)](auto at) HWY_ATTR { return Load<Own<T>>(row, at); };
  }
  HWY_INLINE Writing AskingFirst(int64_t) const { return {}; }
  void EndFirst(int64_t, bool) const {}
  HWY_INLINE Writing WritingInto(int64_t r) const {
    return WritingRow<T>(out_, r, At(r), x_.Row<T>(r + RowsAhead(cols_)));
  }

 private:
  HWY_INLINE T* Kept(int64_t r) const { return kept_.ApartFrom(out_.Row<T>(r), out_.Row<T>(r)); }

  const Block &x_, &out_;
  const int64_t cols_;
  KeptRow kept_;
};

// The first reading adds, and stores the sum, rounded, in its own memory or in a kept row, from
// where it is copied.
template <class T>
class AddedRows {
 public:
  AddedRows(const Addends& of, const Block& sum, const Block& out, int64_t cols)
      : of_(of), sum_(sum), out_(out), cols_(cols) {
    const bool waits = LoadsWait(of.x, sum) || LoadsWait(of.y, sum) || LoadsWait(sum, out);
    if (sum.stream || waits) kept_.Make(cols * sizeof(T));
  }

  // Rows of 576 take 0.9 of the time so on a Zen 3, and 1.03 of it on a Sapphire Rapids.
  bool ReadsAhead() const { return false; }
  HWY_INLINE T* At(int64_t r) const {
    return kept_ ? kept_.ApartFrom(sum_.Row<T>(r), out_.Row<T>(r)) : sum_.Row<T>(r);
  }
  // Not a lambda: of several calls of one, g++ inlines some.
  struct Adding {
    const T *x, *y;
    T* row;

    // A NaN that is a sum of stored numbers has zeros behind their places: it is rounded to a NaN,
    // if not the canonical one, without a look for it.
    template <class At>
    HWY_INLINE Own<T> operator()(At at) const {
      Store(Sum(Load<Own<T>>(x, at), Load<Own<T>>(y, at)), row, at, NoNan());
      return Load<Own<T>>(row, at);
    }
  };
  HWY_INLINE Adding FirstReading(int64_t r) const {
    return {of_.x.Row<T>(r), of_.y.Row<T>(r), At(r)};
  }
  HWY_INLINE Writing AskingFirst(int64_t r) const {
    return WritingRow<T>(sum_, r, of_.x.Row<T>(r), of_.x.Row<T>(r + RowsAhead(cols_)));
  }
  HWY_INLINE void EndFirst(int64_t r, bool nans) const {
    if (nans) SettleNans(At(r), cols_);
    if (kept_) CopyRow(At(r), sum_.Row<T>(r), cols_, sum_.stream);
  }
  HWY_INLINE Writing WritingInto(int64_t r) const {
    return WritingRow<T>(out_, r, At(r), of_.y.Row<T>(r + RowsAhead(cols_)));
  }

 private:
  const Addends& of_;
  const Block &sum_, &out_;
  const int64_t cols_;
  KeptRow kept_;
};

// Calls f with the rows of x, which is what `of` adds up to where there is such a thing.
template <class T, class F>
HWY_INLINE void VisitRows(const Block& x, const Addends& of, const Block& out, int64_t cols,
                          const F& f) {
  if (!of.x) return f(StoredRows<T>(x, out, cols));
  f(AddedRows<T>(of, x, out, cols));
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
