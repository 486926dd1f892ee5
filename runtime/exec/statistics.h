#pragma once
// Adds up where the time of runs went, by operator and by node.
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/exec/observer.h"

namespace tessera {

struct StepTotal {
  std::string name;        // of the operator, or of the node
  std::string op;          // the node's operator; empty in totals by operator
  std::int64_t count = 0;  // steps
  double seconds = 0;      // summed over threads
  double flops = 0;
};

// Thread rule: `step` from any thread; the totals when no run is going on.
class [[gnu::visibility("default")]] Statistics final : public Observer {
 public:
  void step(const StepEvent& event) override;
  void forget();                               // starts over, for instance after a first run that only warmed up
  std::vector<StepTotal> by_operator() const;  // the longest first
  std::vector<StepTotal> by_node() const;      // one for each operator that the node had

 private:
  std::mutex mutex_;
  // By name; policies may give a node another operator in another run.
  std::map<std::string, std::vector<StepTotal>, std::less<>> nodes_;
};

}  // namespace tessera
