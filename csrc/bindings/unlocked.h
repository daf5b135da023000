// Work that other Python threads do not wait for.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace fusible {

// While it lives this thread does without the interpreter's lock.
//
// A daemon thread may ask for the lock back when the interpreter is ending. Python before 3.14 then
// unwinds the thread (pthread_exit), which aborts the process at the first destructor on its way;
// so it is stopped here, until the process is gone, as Python 3.14 does itself.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace fusible
