#pragma once
// The one parallel loop. Kernels split work by size, never by the number of threads, so that results do not depend on
// it.
#include <cstdint>
#include <type_traits>

namespace tessera {

// A borrowed loop body: valid during the call only, one indirect call per chunk.
class LoopBody {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, LoopBody>) LoopBody(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, std::int64_t begin, std::int64_t end) {
          (*static_cast<std::remove_reference_t<F>*>(o))(begin, end);
        }) {}
  void operator()(std::int64_t begin, std::int64_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, std::int64_t, std::int64_t);
};

// Calls body(begin, end) for the chunks [0,grain), [grain,2 grain), ... of [0,n), on the threads of the calling task's
// arena, in any order. Chunks depend on n and grain only. Isolated: a thread that waits here starts no other node of
// the graph, so scratch kept per thread stays valid. A single chunk runs on the caller at once. Exceptions of body
// propagate; in a run that is stopped, Error(run_time) is thrown before the next chunk, so a kernel never goes on with
// half a result.
void run_parallel(std::int64_t n, std::int64_t grain, LoopBody body);

// How the loops that a thread starts behave. The executor sets it around each step.
struct LoopControl {
  bool serial = false;                         // chunks run on the calling thread, in order
  bool (*stopped)(const void* run) = nullptr;  // asked before each chunk, on any thread; null: never
  const void* run = nullptr;
};

// Applies a LoopControl to the calling thread until destroyed; the former one is then back.
class LoopScope {
 public:
  explicit LoopScope(const LoopControl& control);
  ~LoopScope();
  LoopScope(const LoopScope&) = delete;
  LoopScope& operator=(const LoopScope&) = delete;

 private:
  LoopControl former_;
};

}  // namespace tessera
