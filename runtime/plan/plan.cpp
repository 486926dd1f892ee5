#include "runtime/plan/plan.h"

#include <algorithm>

#include "runtime/graph/build.h"
#include "runtime/plan/ancestors.h"
#include "runtime/plan/cost.h"
#include "runtime/plan/memory.h"

namespace tessera {
namespace {

constexpr double inline_plan_ns = 30000;  // below this a plan is not worth waking other threads
constexpr double late_step_ns = 50000;    // not known; large enough that the plan is not taken for a small one

class Planner {
 public:
  explicit Planner(Graph g) : g_(std::move(g)) {}

  Plan run(const PlanOptions& options) {
    find_shapes();
    plan_.slots.resize(g_.values.size());
    for (std::size_t v = 0; v < g_.values.size(); ++v) describe_slot(v);
    for (const auto& i : g_.inputs)
      if (auto& s = slot(i.value); s.kind != Slot::Kind::constant) s.kind = Slot::Kind::input;
    choose_nodes();
    for (std::size_t n = 0; n < g_.nodes.size(); ++n)
      if (needed_[n]) place_node(static_cast<NodeId>(n));
    choose_outputs();
    plan_.graph = std::move(g_);
    join_steps();
    measure();
    plan_.mode = options.mode ? *options.mode : mode();
    place_memory(plan_, options.one_thread || plan_.mode != Plan::Mode::parallel);
    for (auto& step : plan_.steps) prepare(step);
    return std::move(plan_);
  }

 private:
  Slot& slot(ValueId v) { return plan_.slots[index(v)]; }
  Slot& slot(std::int32_t s) { return plan_.slots[static_cast<std::size_t>(s)]; }
  std::int32_t base(std::int32_t s) { return slot(s).kind == Slot::Kind::view ? slot(s).base : s; }

  void find_shapes() {
    for (const auto& i : g_.inputs)
      check(g_.at(i.value).shape.has_value(), "input '", g_.at(i.value).name, "' has no concrete shape");
    for (std::size_t n = 0; n < g_.nodes.size(); ++n)
      for (const ValueId v : g_.nodes[n].out)
        if (v != ValueId::none && !g_.at(v).shape) {
          infer_node(g_, static_cast<NodeId>(n));
          break;
        }
  }

  void describe_slot(std::size_t v) {
    const Value& value = g_.values[v];
    Slot& s = plan_.slots[v];
    s.dtype = value.dtype;
    if (value.shape) s.shape = *value.shape;
    if (!value.constant) return;
    s.kind = Slot::Kind::constant;
    plan_.constant_bytes += value.constant.bytes();
  }

  // A node is needed when an output of the graph depends on it.
  void choose_nodes() {
    needed_.resize(g_.nodes.size());
    read_.resize(g_.values.size());
    for (const auto& o : g_.outputs) read_[index(o.value)] = 1;
    for (std::size_t n = g_.nodes.size(); n-- > 0;) {
      const Node& node = g_.nodes[n];
      needed_[n] = std::any_of(node.out.begin(), node.out.end(),
                               [&](ValueId v) { return v != ValueId::none && read_[index(v)]; });
      if (!needed_[n]) continue;
      for (const ValueId v : node.in)
        if (v != ValueId::none) read_[index(v)] = 1;
    }
  }

  bool known(const Node& node) const {
    if (node.op->late) return false;
    return std::all_of(node.out.begin(), node.out.end(),
                       [&](ValueId v) { return v == ValueId::none || g_.at(v).shape; });
  }

  bool wanted(const Node& node, std::size_t o) const {
    if (node.out[o] == ValueId::none) return false;
    const bool optional = o < node.op->outputs.size() && node.op->outputs[o].presence == Presence::optional;
    return read_[index(node.out[o])] || !optional;
  }

  // A step, or for a view just a slot.
  void place_node(NodeId n) {
    const Node& node = g_.at(n);
    const bool is_known = known(node);
    if (is_known && node.op->view &&
        std::count(node.out.begin(), node.out.end(), ValueId::none) + 1 ==
            static_cast<std::ptrdiff_t>(node.out.size())) {
      Slot& s = slot(node.out[0]);
      s.kind = Slot::Kind::view;
      s.base = base(static_cast<std::int32_t>(node.in[0]));
      return;
    }
    Step step;
    step.node = n;
    step.late = !is_known;
    for (const ValueId v : node.in) step.in.push_back(static_cast<std::int32_t>(v));
    for (std::size_t o = 0; o < node.out.size(); ++o) {
      step.out.push_back(wanted(node, o) ? static_cast<std::int32_t>(node.out[o]) : -1);
      if (step.out[o] < 0) continue;
      slot(node.out[o]).kind = is_known ? Slot::Kind::arena : Slot::Kind::late;
      if (!is_known) slot(node.out[o]).shape = {};
    }
    plan_.steps.push_back(std::move(step));
  }

  void choose_outputs() {
    std::vector<char> taken(plan_.slots.size());
    for (const auto& o : g_.outputs) {
      const auto s = static_cast<std::int32_t>(o.value);
      const std::int32_t b = base(s);
      PlanOutput output{s, taken[static_cast<std::size_t>(b)] != 0};
      taken[static_cast<std::size_t>(b)] = 1;
      if (slot(b).kind == Slot::Kind::arena) slot(b).kind = Slot::Kind::output;
      if (slot(b).kind == Slot::Kind::constant || slot(b).kind == Slot::Kind::input) output.copied = true;
      if (slot(b).kind != Slot::Kind::late) plan_.output_bytes += slot(s).bytes();
      plan_.outputs.push_back(output);
    }
  }

  // Edges from the data.
  void join_steps() {
    std::vector<std::int32_t> producer(plan_.slots.size(), -1);
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      const auto id = static_cast<std::int32_t>(s);
      for (const auto in : plan_.steps[s].in) {
        const std::int32_t p = in < 0 ? -1 : producer[static_cast<std::size_t>(base(in))];
        if (p < 0) continue;
        auto& next = plan_.steps[static_cast<std::size_t>(p)].next;
        if (!next.empty() && next.back() == id) continue;
        next.push_back(id);
        ++plan_.steps[s].waits_for;
      }
      for (const auto out : plan_.steps[s].out)
        if (out >= 0) producer[static_cast<std::size_t>(out)] = id;
    }
  }

  TensorType type_of_slot(std::int32_t s) { return s < 0 ? TensorType{} : TensorType{slot(s).dtype, slot(s).shape}; }
  const Tensor* constant(std::int32_t s) {
    return s >= 0 && slot(s).kind == Slot::Kind::constant ? &plan_.graph.values[static_cast<std::size_t>(s)].constant
                                                          : nullptr;
  }

  void describe_tensors(const Step& step) {
    in_.clear(), out_.clear(), constants_.clear();
    for (const auto s : step.in) in_.push_back(type_of_slot(s)), constants_.push_back(constant(s));
    for (const auto s : step.out) out_.push_back(type_of_slot(s));
  }

  void measure() {
    for (auto& step : plan_.steps) {
      step.cost = late_step_ns;
      if (!step.late) {
        const Node& node = plan_.graph.at(step.node);
        describe_tensors(step);
        try {
          const Cost cost = estimate_cost(*node.op, node.attributes, in_, constants_, out_);
          step.cost = cost.nanoseconds;
          step.flops = cost.flops;
        } catch (Error& e) {  // a plugin's FLOP rule
          throw e.in(describe(node));
        }
      }
      plan_.cost += step.cost;
      plan_.flops += step.flops;
    }
  }

  Plan::Mode mode() {
    const auto& steps = plan_.steps;
    if (plan_.cost < inline_plan_ns ||
        std::all_of(steps.begin(), steps.end(), [](const Step& s) { return s.cost < tiny_step_ns; }))
      return Plan::Mode::inline_steps;
    return overlaps() ? Plan::Mode::parallel : Plan::Mode::ordered;
  }

  // Two steps worth a task of their own could run at the same time.
  bool overlaps() {
    std::vector<std::vector<std::int32_t>> waits_for(plan_.steps.size());
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      for (const auto n : plan_.steps[s].next)
        waits_for[static_cast<std::size_t>(n)].push_back(static_cast<std::int32_t>(s));
    Ancestors ancestors(plan_.steps.size());
    std::int32_t heavy = -1;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      ancestors.add(waits_for[s]);
      if (plan_.steps[s].cost < tiny_step_ns) continue;
      if (heavy >= 0 && !ancestors.before(heavy, static_cast<std::int32_t>(s))) return true;
      heavy = static_cast<std::int32_t>(s);
    }
    return false;
  }

  void prepare(Step& step) {
    const Node& node = plan_.graph.at(step.node);
    if (!node.op->prepare || step.late) return;
    describe_tensors(step);
    try {
      step.state = node.op->prepare(PrepareContext(*node.op, node.attributes, in_, out_, constants_));
    } catch (Error& e) {
      throw e.in(describe(node));
    }
  }

  Graph g_;
  Plan plan_;
  std::vector<char> needed_, read_;  // by node; by value
  std::vector<TensorType> in_, out_;
  std::vector<const Tensor*> constants_;
};

}  // namespace

Plan make_plan(Graph g, const PlanOptions& options) { return Planner(std::move(g)).run(options); }

}  // namespace tessera
