#include "core/ready_threads.h"

#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>

#include "core/cat.h"

namespace fusible {
namespace {

// Eigen's pool does not look whether it got the memory of its queues: 40 KiB a thread, and a
// little.
constexpr size_t kPoolBytes = 64 << 10;

}  // namespace

ReadyThread::~ReadyThread() {
  if (!begun_) Begin([] {});
  thread_.join();
}

void ReadyThread::Begin(std::function<void()> work) {
  begun_ = true;
  work_.set_value(std::move(work));
}

ReadyThreads::ReadyThreads(int wanted) : waiting_(std::make_shared<Waiting>()) {
  waiting_->reserve(wanted);
  try {
    // Held back from the threads' stacks. Never written to, so it is but address space.
    room_ = std::make_shared_for_overwrite<std::byte[]>(wanted * kPoolBytes);
    while (count() < wanted) waiting_->push_back(std::make_unique<ReadyThread>());
  } catch (const std::exception& error) {  // system_error, or bad_alloc
    const std::string said = Cat("fusible: ", count(), " of ", wanted,
                                 " helper threads could be started, calls run on these and their "
                                 "caller's: ",
                                 error.what(), "\n");
    std::fputs(said.c_str(), stderr);
  }
}

ReadyThread* ReadyThreads::CreateThread(std::function<void()> work) {
  std::unique_ptr<ReadyThread> thread = std::move(waiting_->back());
  waiting_->pop_back();
  thread->Begin(std::move(work));
  return thread.release();
}

}  // namespace fusible
