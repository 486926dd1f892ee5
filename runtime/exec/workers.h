#pragma once
// The threads a session runs on.
#include <functional>
#include <memory>

namespace tessera {

// One task arena. Every thread that works in it calls oneDNN with one thread, since its parallel loops are ours. More
// threads than the machine has cores may be asked for (tests do).
class Workers {
 public:
  static constexpr int most_threads = 1024;
  explicit Workers(int threads);  // 0: as many as the process may use. Errors: bad_input beyond most_threads
  ~Workers();
  int threads() const;
  // Calls `work` inside the arena: loops of kernels then use its threads. With one thread: on the calling thread, loops
  // serial.
  void run(const std::function<void()>& work) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera
