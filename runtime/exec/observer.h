#pragma once
// Watches a run: trace, statistics and dump are observers. Part of the installed headers.
#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/tensor/tensor.h"

namespace [[gnu::visibility("default")]] tessera {

// One finished step. Everything is borrowed and valid during the call only.
struct StepEvent {
  std::string_view node, op;                // the node's name, its operator's
  int worker = 0;                           // 0 .. threads-1: which thread of the run
  std::int64_t begin_ns = 0, end_ns = 0;    // steady clock, since the run began
  double flops = 0;                         // by the operator's rule
  std::span<const Tensor* const> in = {};   // null: absent
  std::span<const Tensor* const> out = {};  // null: not wanted; elements may be read, not kept: memory is reused
  std::span<const std::string_view> out_names = {};
};

class Observer {
 public:
  virtual ~Observer() = default;
  // Called on the thread that ran the step, from several threads at once.
  virtual void step(const StepEvent& event) = 0;
};

}  // namespace tessera
