// Threads that have started before anything is built on them. Eigen's pool starts its threads one
// by one in its constructor, and where the system refuses one (RLIMIT_NPROC, a container's pids
// limit, no memory for its stack) the pool's destructor waits for those that never were.
#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace fusible {

// A thread that waits for the one function it runs; without one it ends with its owner.
class ReadyThread {
 public:
  ReadyThread() : thread_([work = work_.get_future()]() mutable { work.get()(); }) {}
  ~ReadyThread();
  ReadyThread(const ReadyThread&) = delete;
  ReadyThread& operator=(const ReadyThread&) = delete;

  void Begin(std::function<void()> work);
  void OnCancel() {}  // Eigen asks for it

 private:
  bool begun_ = false;
  std::promise<std::function<void()>> work_;
  std::thread thread_;
};

// An Eigen environment of as many threads as there are to be had, for one pool.
class ReadyThreads {
 public:
  using EnvThread = ReadyThread;
  struct Task {
    std::function<void()> f;  // Eigen's name
  };

  // Starts `wanted` threads, or says on stderr how many the system has granted.
  explicit ReadyThreads(int wanted);
  int count() const { return static_cast<int>(waiting_->size()); }
  // Frees the memory that was held back for the pool: its constructor comes next.
  void MakeRoom() { room_.reset(); }

  // At most `count` times.
  EnvThread* CreateThread(std::function<void()> work);
  Task CreateTask(std::function<void()> f) { return {std::move(f)}; }
  void ExecuteTask(const Task& task) { task.f(); }

 private:
  using Waiting = std::vector<std::unique_ptr<ReadyThread>>;
  // Shared, since Eigen copies its environment.
  std::shared_ptr<Waiting> waiting_;
  std::shared_ptr<std::byte[]> room_;
};

}  // namespace fusible
