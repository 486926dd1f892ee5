#pragma once
// The memory of runs, kept between them: first touch of a page costs more than most kernels.
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace tessera {

// One block: 64-byte aligned, from 2 MiB on aligned to 2 MiB and advised to use huge pages. Not initialised.
class Arena {
 public:
  explicit Arena(std::size_t bytes);  // Errors: run_time when memory is exhausted
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_;
  std::size_t bytes_;
};

// Arenas that no run uses at the moment, shared by all plans of a session. There are never more arenas than there were
// runs at one time, because one that is too small for a run is given back to the system before a larger one is made.
// Thread rule: any thread may call anything.
class ArenaPool {
 public:
  // An arena of at least `bytes`; `preferred` when it is free, so that a frame finds its addresses unchanged.
  std::unique_ptr<Arena> take(std::size_t bytes, const std::byte* preferred);
  void give_back(std::unique_ptr<Arena> arena);

  // From this size on, outputs come from here.
  static constexpr std::size_t large_output = std::size_t{2} << 20;
  // Memory for an output, the caller's from then on. When the caller lets go of it, and the pool is still there, it is
  // kept for a later output of about that size: 256 MiB at most, the oldest go first.
  std::shared_ptr<void> output(std::size_t bytes);

 private:
  struct Outputs {
    std::mutex mutex;
    std::vector<std::shared_ptr<Arena>> free;  // oldest first
    void keep(std::shared_ptr<Arena> block);
  };
  const std::shared_ptr<Outputs> outputs_ = std::make_shared<Outputs>();
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> free_;
};

}  // namespace tessera
