#include "bindings/result_memory.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>

#include "core/huge_pages.h"

namespace fusible {
namespace {

constexpr size_t kDefaultLimit = size_t{256} << 20;
constexpr size_t kCacheLine = 64;
constexpr size_t kHead = kCacheLine;  // of a piece of memory: its Block
constexpr size_t kSteps = 16;         // of sizes below a power of two; half of them are its own
constexpr std::align_val_t kAlignment{kCacheLine};

// A place in two lists at once needs two links.
template <class Tag>
struct Link {
  Link* before = this;
  Link* after = this;

  void InsertAfter(Link& other) {
    before = &other;
    after = other.after;
    before->after = after->before = this;
  }
  void Remove() {
    before->after = after;
    after->before = before;
    before = after = this;
  }
  bool IsAlone() const { return after == this; }
};
using SizeLink = Link<struct OfOneSize>;
using AgeLink = Link<struct OfAnyAge>;

// The head of a piece of memory is the Python object that owns it: recycling makes no object.
struct Block : PyObject, SizeLink, AgeLink {
  size_t bytes = 0;  // behind the head

  std::byte* data() { return reinterpret_cast<std::byte*>(this) + kHead; }
};
static_assert(sizeof(Block) <= kHead);

// Sizes are rounded up to a sixteenth of the next power of two, so that results of slightly
// different length share them: at most 12.5 % of more than 1 KiB is wasted.
size_t StepOf(size_t bytes) { return std::max(std::bit_ceil(bytes) / kSteps, kCacheLine); }

size_t RoundUp(size_t bytes) {
  const size_t step = StepOf(bytes);
  return std::max((bytes + step - 1) / step * step, kCacheLine);
}

size_t ClassOf(size_t rounded) {
  const auto power = static_cast<size_t>(std::bit_width(rounded - 1));
  return power * kSteps + (rounded - 1) / StepOf(rounded) % kSteps;
}

// Waiting blocks by size, the latest of each first: it may still be in a cache. Never destroyed:
// arrays may die when all else has.
class Pool {
 public:
  Block* Take(size_t bytes) {
    bytes = RoundUp(bytes);
    SizeLink& waiting = by_size_[ClassOf(bytes)];
    const std::lock_guard lock(mutex_);
    if (waiting.IsAlone()) {
      Block* fresh = Allocate(bytes);
      ++state_.misses;
      state_.lent += bytes;
      return fresh;
    }
    auto* block = static_cast<Block*>(waiting.after);
    Unlink(block);
    ++state_.hits;
    state_.lent += bytes;
    return block;
  }

  void Give(Block* block) {
    const std::lock_guard lock(mutex_);
    state_.lent -= block->bytes;
    if (block->bytes > state_.limit) return Free(block);  // it would drive out all others, and go
    state_.held += block->bytes;
    block->SizeLink::InsertAfter(by_size_[ClassOf(block->bytes)]);
    block->AgeLink::InsertAfter(by_age_);
    Shrink(state_.limit);
  }

  void Limit(size_t bytes) {
    const std::lock_guard lock(mutex_);
    state_.limit = bytes;
    Shrink(bytes);
  }

  PoolState state() {
    const std::lock_guard lock(mutex_);
    return state_;
  }

  // A child of fork() is one thread: no other may hold the lock in it forever.
  void LockForFork() { mutex_.lock(); }
  void UnlockAfterFork() { mutex_.unlock(); }

 private:
  Block* Allocate(size_t bytes) {
    const size_t all = bytes + kHead;
    void* memory = ::operator new(all, kAlignment, std::nothrow);
    if (!memory) {
      Shrink(0);
      memory = ::operator new(all, kAlignment, std::nothrow);
    }
    // AddressSanitizer ends the process in an operator that throws.
    if (!memory) throw std::bad_alloc();
    constexpr size_t kLarge = 2 * kHugePage;  // as NumPy asks for its own
    if (all >= kLarge) AdviseHugePages(static_cast<std::byte*>(memory), all);
    auto* block = new (memory) Block();
    block->bytes = bytes;
    return block;
  }

  void Unlink(Block* block) {
    state_.held -= block->bytes;
    block->SizeLink::Remove();
    block->AgeLink::Remove();
  }

  // Frees what has waited longest.
  void Shrink(size_t limit) {
    while (state_.held > limit) {
      auto* oldest = static_cast<Block*>(by_age_.before);
      Unlink(oldest);
      Free(oldest);
    }
  }

  static void Free(Block* block) { ::operator delete(block, kAlignment); }

  std::mutex mutex_;
  std::array<SizeLink, 65 * kSteps> by_size_;
  AgeLink by_age_;  // the latest first
  PoolState state_{.limit = kDefaultLimit};
};

void GiveBack(PyObject* owner);

// No heap type: it outlives every array, and counts no references.
PyTypeObject MakeOwnerType() {
  PyTypeObject type{};
  type.ob_base.ob_base.ob_refcnt = 1;
  type.tp_name = "fusible._core.ResultMemory";
  type.tp_basicsize = sizeof(Block);
  type.tp_dealloc = GiveBack;
  type.tp_flags = Py_TPFLAGS_DEFAULT;
  type.tp_doc = "Memory of a result; its array's base.";
  return type;
}

PyTypeObject* OwnerType() {
  static PyTypeObject type = MakeOwnerType();
  static const bool ready = PyType_Ready(&type) == 0;
  if (!ready) throw std::bad_alloc();
  return &type;
}

Pool& Results() {
  static Pool& pool = *[] {
    static Pool* made = new Pool();
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork([] { made->LockForFork(); }, [] { made->UnlockAfterFork(); },
                   [] { made->UnlockAfterFork(); });
#endif
    return made;
  }();
  return pool;
}

void GiveBack(PyObject* owner) { Results().Give(static_cast<Block*>(owner)); }

}  // namespace

ResultMemory TakeResultMemory(size_t bytes) {
  PyTypeObject* type = OwnerType();
  Block* block = Results().Take(bytes);
  return {block->data(), PyObject_Init(block, type)};
}

PoolState ResultPool() { return Results().state(); }

void LimitResultPool(size_t bytes) { Results().Limit(bytes); }

}  // namespace fusible
