#pragma once
// The branches of If during runs: each gets plans of its own for the shapes it meets.
#include <map>

#include "runtime/exec/executor.h"
#include "runtime/pass/pass.h"
#include "runtime/session/plan_cache.h"

namespace tessera {

// Thread rule: any thread may call anything. Keeps plans per branch; branches are known by their address, so the graphs
// that hold them must outlive this.
class Branches {
 public:
  Branches(const Registry& registry, PassOptions passes, std::shared_ptr<ArenaPool> arenas)
      : registry_(registry), passes_(std::move(passes)), arenas_(std::move(arenas)) {}
  // Runs one branch on the calling thread, loops inside kernels on the threads of its arena.
  std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs, const Workers& workers,
                          const ExecuteOptions& options);

 private:
  PlanCache& plans_of(const Subgraph& body);
  const Registry& registry_;
  const PassOptions passes_;
  const std::shared_ptr<ArenaPool> arenas_;
  std::mutex mutex_;
  std::map<const Subgraph*, std::unique_ptr<PlanCache>> plans_;
};

// What one run gives its kernels: branches run under the same observer, cancellation and deadline.
class BranchesOfRun final : public SubgraphRunner {
 public:
  BranchesOfRun(Branches& branches, const Workers& workers, ExecuteOptions options)
      : branches_(branches), workers_(workers), options_(std::move(options)) {
    options_.subgraphs = this;
    options_.ordered = true;
  }
  std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs) override {
    return branches_.run(body, inputs, workers_, options_);
  }

 private:
  Branches& branches_;
  const Workers& workers_;
  ExecuteOptions options_;
};

}  // namespace tessera
