// What this build is and what it runs on.
#include <pybind11/stl.h>

#include "bindings/bind.h"
#include "bindings/result_memory.h"
#include "core/cpus.h"
#include "core/dtype.h"
#include "core/threads.h"
#include "ir/key.h"
#include "kernels/simd/targets.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fusible {
namespace {

// Flush-to-zero and denormals-are-zero of the calling thread, as some frameworks leave them.
void SetFlushToZero(bool on) {
#if defined(__x86_64__)
  constexpr unsigned kBits = 0x8040;
  _mm_setcsr(on ? _mm_getcsr() | kBits : _mm_getcsr() & ~kBits);
#else
  if (on) throw std::runtime_error("flush-to-zero is set on x86-64 only");
#endif
}

py::dict DTypeNames() {
  py::dict names;
  for (const DTypeInfo& info : AllDTypes()) names[py::str(info.name)] = info.numpy_name;
  return names;
}

py::dict PoolFigures() {
  const PoolState state = ResultPool();
  return py::dict(py::arg("limit") = state.limit, py::arg("held") = state.held,
                  py::arg("lent") = state.lent, py::arg("hits") = state.hits,
                  py::arg("misses") = state.misses);
}

}  // namespace

void BindSettings(py::module_& m) {
  m.attr("version") = FUSIBLE_VERSION;
  m.attr("build_id") = BuildId();
  m.def("compiled_isas", &kernels::CompiledIsas, "Instruction sets in this build, best first.");
  m.def("present_isas", &kernels::PresentIsas, "Those of them that this CPU has, best first.");
  m.def("chosen_isa", &kernels::ChosenIsa, "The one that calls run on.");
  m.def("force_isa", &kernels::ForceIsa, py::arg("name"),
        "Runs every later call on this one; '' chooses the best. ArgumentError unless present.");
  m.def("thread_count", &ThreadCount, "Threads that a call may use.");
  m.def("set_threads", &SetThreadCount, py::arg("n"), "Sets them; not while calls run.");
  m.def("set_bytes_per_thread", &SetBytesPerThread, py::arg("bytes"),
        "Splits later calls, unless they are like earlier ones, from twice as much traffic on: for "
        "benchmarks and tests. Returns what it was.");
  m.def("usable_cpus", &UsableCpus, py::arg("root") = "",
        "CPUs that this process is bound to and may use; root stands before /proc and /sys.");
  m.def("pool_figures", &PoolFigures, "Memory of results: limit, held, lent, hits, misses.");
  m.def("limit_pool", &LimitResultPool, py::arg("bytes"), "At most so many bytes wait for reuse.");
  m.def("set_flush_to_zero", &SetFlushToZero, py::arg("on"),
        "Sets the calling thread's flush-to-zero mode: for tests of bit equality.");
  m.def("dtypes", &DTypeNames, "Names of the dtypes in graph text -> in NumPy or ml_dtypes.");
}

}  // namespace fusible
