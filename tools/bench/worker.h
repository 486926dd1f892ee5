#pragma once
// A process of its own for each model that is measured: their memory is counted separately, and no heap, arena or
// thread pool of one disturbs another. The parent says when to run, so that runs interleave. Start workers before the
// calling process has threads.
#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

namespace tessera {

struct Measurement {
  double seconds = 0;         // of one run
  double flops = 0;           // of one run; only the first of a worker has it
  double peak_rss_bytes = 0;  // of the worker, up to now
};

class Worker {
 public:
  // In the new process `open` is called once; the function it gives is called for each run and measures it.
  using Run = std::function<Measurement()>;
  explicit Worker(const std::function<Run()>& open);
  Worker(Worker&& other) noexcept;
  Worker& operator=(Worker&&) = delete;
  ~Worker();

  // Asks for one run and waits. An Error of the worker is thrown here; run_time when its process has died.
  Measurement run();

 private:
  pid_t process_ = -1;
  int to_ = -1, from_ = -1;
};

}  // namespace tessera
