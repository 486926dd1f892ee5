// The gradient rule of a plugin's operator: handles of values in C, nodes of the gradient graph behind them.
#include <deque>

#include "runtime/op/context.h"
#include "runtime/op/example.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/plugin_host/call.h"
#include "runtime/session/plugin_host/operators.h"

namespace tessera {
namespace {

// A handle is one more than its place in `values_`; 0 is an absent value.
class GradientCall final : public tsr_call {
 public:
  GradientCall(GradContext& g, const MethodParameters* parameters)
      : tsr_call(parameters), g_(g), gradients(static_cast<std::size_t>(g.inputs()), ValueId::none) {}

  tsr_tensor input(std::uint32_t i) const override { return has(i) ? type_of(g_.in(index(i))) : absent_tensor(); }
  tsr_tensor output(std::uint32_t i) const override {
    return index(i) < g_.outputs() ? type_of(g_.out(index(i))) : absent_tensor();
  }

  std::int64_t grad_input(std::uint32_t i) override { return has(i) ? handle(g_.in(index(i))) : 0; }
  std::int64_t grad_output(std::uint32_t i) override { return handle(g_.out(checked_output(i))); }
  std::int64_t grad_dout(std::uint32_t i) override { return handle(g_.dout(checked_output(i))); }
  std::int64_t grad_constant(double value) override {
    check(has(0), Code::plugin, "grad_constant takes the type of input 0, which is absent");
    return handle(g_.scalar_like(g_.in(0), value));
  }
  std::int64_t grad_integers(std::span<const std::int64_t> values) override { return handle(g_.ints(values)); }
  bool grad_needed(std::uint32_t i) const override { return g_.needs(index(i)); }

  std::int64_t grad_node(std::string_view name, std::span<const std::int64_t> in, std::string_view attributes,
                         std::uint32_t outputs) override {
    const OpDef* op = find_operator(name);
    check(op != nullptr, Code::plugin, "its gradient rule asks for operator '", name, "', which is not there");
    check(outputs >= 1 && outputs <= std::size(op->outputs.items), Code::plugin, "its gradient rule asks for ", outputs,
          " outputs of '", name, "'");
    std::vector<ValueId> values;
    for (const auto h : in) values.push_back(value(h));
    const auto made = nodes(*op, name, std::move(values), attributes, static_cast<int>(outputs));
    const std::int64_t first = handle(made[0]);
    for (std::size_t i = 1; i < made.size(); ++i) handle(made[i]);
    return first;
  }

  void set_grad(std::uint32_t i, std::int64_t h) override {
    check(i < gradients.size(), Code::plugin, "its gradient rule sets the gradient of input ", i, ", the node has ",
          gradients.size());
    gradients[i] = value(h);
  }

 private:
  GradContext& g_;

 public:
  std::vector<ValueId> gradients;

  // A gradient can be added up to the shape of its input.
  void check_gradients() const {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const int at = static_cast<int>(i);
      if (gradients[i] == ValueId::none || !g_.needs(at)) continue;
      const auto shape = g_.shape(gradients[i]), input = g_.shape(g_.in(at));
      check(shape.has_value(), Code::plugin, "its gradient rule gives input ", i,
            " a gradient whose shape is known during the run only");
      check(broadcasts_to(*input, *shape), Code::plugin, "its gradient rule gives input ", i, " a gradient of shape ",
            *shape, "; the input has ", *input);
    }
  }

 private:
  // A node that cannot be is the rule's fault.
  std::vector<ValueId> nodes(const OpDef& op, std::string_view name, std::vector<ValueId> in,
                             std::string_view attributes, int outputs) try {
    return g_.nodes(name, std::move(in), parse_attributes(op, attributes), outputs);
  } catch (const Error& e) {
    if (e.code() != Code::bad_input) throw;
    throw Error(Code::plugin, concat("its gradient rule asks for a '", name, "' that cannot be: ", e.message()));
  }
  bool has(std::uint32_t i) const { return g_.has(index(i)); }
  int checked_output(std::uint32_t i) const {
    check(i < g_.op().outputs.size(), Code::plugin, "its gradient rule asks for output ", i);
    return index(i);
  }
  std::int64_t handle(ValueId v) {
    values_.push_back(v);
    return static_cast<std::int64_t>(values_.size());
  }
  ValueId value(std::int64_t h) const {
    if (h == 0) return ValueId::none;
    check(h > 0 && h <= static_cast<std::int64_t>(values_.size()), Code::plugin, "its gradient rule uses the handle ",
          h, ", which it was not given");
    return values_[static_cast<std::size_t>(h - 1)];
  }
  tsr_tensor type_of(ValueId v) const {
    const auto shape = g_.shape(v);
    check(shape.has_value(), Code::internal, "a gradient rule sees a value without a shape");
    return tensor_of(g_.dtype(v), shapes_.emplace_back(*shape));
  }

  std::vector<ValueId> values_;
  mutable std::deque<Shape> shapes_;  // that the plugin was told of
};

}  // namespace

std::vector<ValueId> plugin_gradient(GradContext& g) {
  const AdoptedOperator& a = adopted(g.op());
  const MethodParameters parameters(a.attributes, g.attr().all());
  return in_plugin(a.frame, [&] {
    GradientCall call(g, &parameters);
    call.run_function("gradient rule", [&] { return a.table->gradient(&plugin_host(), &call); });
    call.check_gradients();
    return std::move(call.gradients);
  });
}

}  // namespace tessera
