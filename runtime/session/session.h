#pragma once
// Session: open a model, run it. The installed C++ interface for embedding.
//
//   auto session = tessera::Session::open("model.onnx");
//   auto outputs = session.run({{"x", x}});
//   outputs.at("y").read<float>();
//
// Thread rule: `run` may be called from several threads at once; each run gets an arena of its own from the session's
// pool. Errors are tessera::Error; `code()` says who has to act.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/exec/cancel.h"
#include "runtime/exec/observer.h"
#include "runtime/tensor/dim.h"
#include "runtime/tensor/tensor.h"

namespace [[gnu::visibility("default")]] tessera {

// Of the library itself: their headers are not installed, and what takes or gives them is not for programs that embed.
struct Graph;
struct Plan;
struct Policy;

using NamedTensors = std::map<std::string, Tensor>;

struct SessionOptions {
  int threads = 0;                                          // 0: all the process may use
  std::vector<std::string> plugins = {};                    // by name ("vsa") or path, see `tessera plugins list`
  std::set<std::string, std::less<>> disabled_passes = {};  // by name, see `tessera inspect --passes`
  std::size_t plan_limit = 16;   // plans kept, one per set of input shapes; least recently used go
  std::string policy = {};       // file that says which attention gets which method (runtime/policy/README.md)
  std::size_t memory_limit = 0;  // bytes of arena and known outputs one run may take; 0: no limit
};

struct RunOptions {
  int step = 0, steps = 1;       // position of this run in a loop (denoising): 0 <= step < steps
  std::int64_t train_step = -1;  // step of training; -1: not training, schedules of the policy have reached their end
  Observer* observer = nullptr;  // borrowed for the run
  std::shared_ptr<const Cancellation> cancellation = {};
  Deadline deadline = {};
};

// A graph input or output as the model declares it.
struct PortInfo {
  std::string name;
  DType dtype;
  std::optional<SymbolicShape> shape;  // nothing: the model gives none
};

class Session {
 public:
  // Opens a model file. Weights are mapped, not read; no plan is made before the first run. A policy's rules are
  // checked as far as they can be without shapes; the rest when a plan is made.
  static Session open(const std::string& path, SessionOptions options = {});
  // Internal: with a policy that has been read, null for none, instead of the file in `options`.
  static Session open(const std::string& path, std::shared_ptr<const Policy> policy, SessionOptions options);
  // Internal: of a graph in memory.
  Session(Graph graph, SessionOptions options);
  Session(Graph graph, std::shared_ptr<const Policy> policy, SessionOptions options);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const std::vector<PortInfo>& inputs() const;
  const std::vector<PortInfo>& outputs() const;
  const Graph& graph() const;  // internal: as loaded
  int threads() const;

  // Runs the model. Every input must be given, by its exact name, with the declared type and a shape that fits; nothing
  // else may be. Inputs are not changed and not copied; outputs are fresh. The first run with new shapes makes a plan.
  NamedTensors run(const NamedTensors& inputs, const RunOptions& options = {});

  // Internal: what a run with these inputs at this step does, steps, memory, cost (plan/plan.h). Made now when it is
  // not there yet.
  std::shared_ptr<const Plan> plan(const NamedTensors& inputs, const RunOptions& options = {});
  // Bytes of arena a run with these input shapes needs.
  std::size_t arena_bytes(const NamedTensors& inputs, const RunOptions& options = {});
  // How many plans are kept at the moment.
  std::size_t plans() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera
