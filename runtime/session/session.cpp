#include "runtime/session/session.h"

#include <algorithm>
#include <mutex>

#include "runtime/base/nearest.h"
#include "runtime/exec/executor.h"
#include "runtime/plan/specialise.h"
#include "runtime/session/branches.h"
#include "runtime/session/graph_run.h"
#include "runtime/session/open_policy.h"
#include "runtime/session/plan_cache.h"

namespace tessera {

struct Session::State {
  State(Graph g, std::shared_ptr<const Policy> p, SessionOptions o)
      : graph(std::move(g)),
        policy(std::move(p)),
        options(std::move(o)),
        registry(registry_for(options.plugins, policy.get())),
        passes{options.disabled_passes},
        workers(options.threads),
        arenas(std::make_shared<ArenaPool>()),
        plans(options.plan_limit, arenas),
        branches(registry, passes, arenas) {
    policy_use(policy.get(), graph, registry, {});  // refuses now what it can
    for (const auto& i : graph.inputs) inputs.push_back({graph.at(i.value).name, graph.at(i.value).dtype, i.declared});
    for (const auto& o : graph.outputs) {
      std::optional<SymbolicShape> shape;
      if (const auto& known = graph.at(o.value).shape) {
        shape.emplace();
        for (const auto d : *known) shape->push_back({d, {}});
      }
      outputs.push_back({o.name, graph.at(o.value).dtype, std::move(shape)});
    }
  }

  const Graph graph;
  const std::shared_ptr<const Policy> policy;  // null: none
  const SessionOptions options;
  const Registry registry;
  const PassOptions passes;
  const Workers workers;
  const std::shared_ptr<ArenaPool> arenas;
  std::vector<PortInfo> inputs, outputs;
  std::once_flag simplified_once;
  Graph simplified;  // what does not depend on shapes is folded once, and all plans start from here
  PlanCache plans;
  Branches branches;

  std::vector<Tensor> in_order(const NamedTensors& given) const;
  void refuse_unknown(const NamedTensors& given) const;
  StepClass class_of(const RunOptions& run) const;
  std::shared_ptr<PlannedRuns> planned(std::span<const Tensor> tensors, const StepClass& at);
  Plan make(std::span<const Tensor> tensors, const StepClass& at);
};

// The given tensors in the order of the graph's inputs.
std::vector<Tensor> Session::State::in_order(const NamedTensors& given) const {
  std::vector<Tensor> tensors;
  tensors.reserve(inputs.size());
  const PortInfo* missing = nullptr;
  for (const auto& port : inputs) {
    const auto at = given.find(port.name);
    if (at == given.end()) {
      if (!missing) missing = &port;
      continue;
    }
    check(at->second.dtype() == port.dtype, "input '", port.name, "' must be ", port.dtype, ", got ",
          at->second.dtype());
    tensors.push_back(at->second);
  }
  if (tensors.size() < given.size()) refuse_unknown(given);
  if (!missing) return tensors;
  Error e(Code::bad_input, concat("input '", missing->name, "' is not given"));
  throw e.hint(concat("it is ", missing->dtype, missing->shape ? concat(*missing->shape) : " of any shape"));
}

void Session::State::refuse_unknown(const NamedTensors& given) const {
  std::vector<std::string> names;
  for (const auto& port : inputs) names.push_back(port.name);
  for (const auto& [name, tensor] : given)
    check(std::find(names.begin(), names.end(), name) != names.end(), "the model has no input '", name, "'",
          nearest_or_all(name, names));
}

StepClass Session::State::class_of(const RunOptions& run) const {
  check(run.step >= 0 && run.step < run.steps, "step ", run.step, " is none of a loop of ", run.steps,
        "; steps count from 0");
  return policy ? step_class(*policy, {run.step, run.steps, run.train_step}) : StepClass{};
}

std::shared_ptr<PlannedRuns> Session::State::planned(std::span<const Tensor> tensors, const StepClass& at) {
  return plans.get(
      tensors, [&] { return make(tensors, at); }, at);
}

Plan Session::State::make(std::span<const Tensor> tensors, const StepClass& at) {
  Plan plan;
  workers.run([&] {
    std::call_once(simplified_once, [&] {
      simplified = graph;
      simplify(simplified, registry, passes);
    });
    Binding binding;
    for (std::size_t i = 0; i < inputs.size(); ++i) binding.shapes[inputs[i].name] = tensors[i].shape();
    Trail trail;
    plan = specialise(simplified, binding, registry, passes, {.one_thread = workers.threads() == 1},
                      {policy.get(), at, &trail});
    if (policy) warn_of_fallbacks(*policy, trail);
  });
  return plan;
}

Session::Session(Graph graph, SessionOptions options) {
  auto policy = open_policy(options.policy);
  state_ = std::make_unique<State>(std::move(graph), std::move(policy), std::move(options));
}
Session::Session(Graph graph, std::shared_ptr<const Policy> policy, SessionOptions options)
    : state_(std::make_unique<State>(std::move(graph), std::move(policy), std::move(options))) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

const std::vector<PortInfo>& Session::inputs() const { return state_->inputs; }
const std::vector<PortInfo>& Session::outputs() const { return state_->outputs; }
const Graph& Session::graph() const { return state_->graph; }
int Session::threads() const { return state_->workers.threads(); }
std::size_t Session::plans() const { return state_->plans.size(); }

std::shared_ptr<const Plan> Session::plan(const NamedTensors& inputs, const RunOptions& options) {
  return state_->planned(state_->in_order(inputs), state_->class_of(options))->plan();
}

std::size_t Session::arena_bytes(const NamedTensors& inputs, const RunOptions& options) {
  return plan(inputs, options)->arena_bytes;
}

NamedTensors Session::run(const NamedTensors& inputs, const RunOptions& options) {
  const auto tensors = state_->in_order(inputs);
  const FrameLease lease(state_->planned(tensors, state_->class_of(options)));
  check_memory(lease.frame().plan(), state_->options.memory_limit);
  ExecuteOptions execute_options{
      .observer = options.observer, .cancellation = options.cancellation.get(), .deadline = options.deadline};
  if (options.observer) execute_options.began = std::chrono::steady_clock::now();
  BranchesOfRun branches(state_->branches, state_->workers, execute_options);
  execute_options.subgraphs = &branches;
  auto results = execute(lease.frame(), tensors, state_->workers, execute_options);
  NamedTensors outputs;
  for (std::size_t i = 0; i < results.size(); ++i)
    outputs.emplace(state_->graph.outputs[i].name, std::move(results[i]));
  return outputs;
}

}  // namespace tessera
