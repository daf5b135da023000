// Memory for values between steps: aligned to cache lines, kept from call to call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace fusible {

inline constexpr int64_t kAlignment = 64;  // bytes: a cache line, and the widest vector

inline int64_t AlignUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Uninitialized bytes, aligned to kAlignment.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t bytes);

  std::byte* data() const { return data_.get(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t bytes_ = 0;
};

// Lends a buffer to each call that runs at the same time, and keeps as many as ever ran so.
class ArenaPool {
 public:
  class Lease {
   public:
    Lease(ArenaPool* pool, Buffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}
    ~Lease() { pool_->Return(std::move(buffer_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    std::byte* data() const { return buffer_.data(); }

   private:
    ArenaPool* pool_;
    Buffer buffer_;
  };

  Lease Take(int64_t bytes);

 private:
  void Return(Buffer buffer);

  std::mutex mutex_;
  std::vector<Buffer> free_;
};

}  // namespace fusible
