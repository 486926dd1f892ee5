#pragma once
// One run's slots and memory, with everything a step needs resolved beforehand: a run only sets the addresses of inputs
// and outputs, and of the arena when it has moved.
#include <atomic>
#include <memory>
#include <vector>

#include "runtime/exec/arena.h"
#include "runtime/op/context.h"
#include "runtime/plan/plan.h"

namespace tessera {

// Reused between runs of the same plan; used by one run at a time.
class Frame {
 public:
  Frame(std::shared_ptr<const Plan> plan, std::shared_ptr<ArenaPool> arenas);

  const Plan& plan() const { return *plan_; }
  // Takes an arena and points slots at it, at the inputs and at fresh outputs. Errors: run_time without memory;
  // internal when an input differs from the plan's.
  void begin(std::span<const Tensor> inputs, SubgraphRunner* subgraphs);
  // The outputs; those that share memory are copied.
  std::vector<Tensor> finish();
  // Gives the arena back and lets go of what the run held. Call after `finish`, and after an error.
  void end();

  const KernelContext& context(std::size_t step) const { return contexts_[step]; }
  SubgraphRunner* subgraphs() { return &subgraphs_; }
  std::span<const Tensor* const> in(std::size_t step) const;
  std::span<Tensor* const> out(std::size_t step) const;
  std::atomic<std::int32_t>& waiting(std::size_t step) { return waiting_[step]; }

 private:
  // Kernels hold one address; whom a run asks may differ each time.
  struct Forward final : SubgraphRunner {
    std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs) override;
    SubgraphRunner* to = nullptr;
  };
  void point_into(std::byte* arena);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<ArenaPool> arenas_;
  std::unique_ptr<Arena> arena_;
  const std::byte* pointed_ = nullptr;  // the arena that slots point into
  std::vector<Tensor> slots_;
  std::vector<const Tensor*> in_;  // of all steps
  std::vector<Tensor*> out_;
  std::vector<std::size_t> first_in_, first_out_;  // by step, and one past the last
  std::vector<KernelContext> contexts_;
  std::vector<std::int32_t> in_arena_, outputs_, late_, moving_views_;
  std::unique_ptr<std::atomic<std::int32_t>[]> waiting_;
  Forward subgraphs_;
};

std::shared_ptr<Frame> make_frame(std::shared_ptr<const Plan> plan, std::shared_ptr<ArenaPool> arenas = nullptr);

}  // namespace tessera
