// Shape rule, kernel and FLOP rule of a plugin's operator.
#include "runtime/session/plugin_host/operators.h"

#include <cmath>

#include "runtime/op/context.h"
#include "runtime/session/plugin_host/call.h"
#include "runtime/session/plugin_host/nan_scan.h"

namespace tessera {
namespace {

constexpr std::size_t most_dims = 64;

DType output_type(const AdoptedOperator& a, const ShapeContext& c, std::size_t i) {
  return a.output_like[i] < 0 ? a.output_types[i] : c.dtype(a.output_like[i]);
}

class ShapeCall final : public tsr_call {
 public:
  ShapeCall(ShapeContext& c, const MethodParameters* parameters)
      : tsr_call(parameters), c_(c), set_(static_cast<std::size_t>(c.outputs())) {}

  tsr_tensor input(std::uint32_t i) const override {
    const int at = index(i);
    return c_.has(at) ? tensor_of(c_.dtype(at), c_.in(at)) : absent_tensor();
  }

  void set_output(std::uint32_t i, std::uint32_t dtype, std::span<const std::int64_t> dims) override {
    const AdoptedOperator& a = adopted(c_.op);
    check(i < a.op.outputs.size(), Code::plugin, "its shape rule sets output ", i, ", it has ", a.op.outputs.size());
    const auto name = a.op.outputs[i].name;
    check(dims.size() <= most_dims, Code::plugin, "its shape rule gives output '", name, "' ", dims.size(), " dims");
    const DType expected = output_type(a, c_, i);
    check(dtype == 0 || static_cast<DType>(dtype) == expected, Code::plugin, "its shape rule says output '", name,
          "' is ", static_cast<DType>(dtype), ", its table says ", expected);
    try {
      element_count(dims);
    } catch (const Error& e) {
      throw Error(Code::plugin,
                  concat("its shape rule gives output '", name, "' the shape ", Shape(dims), ": ", e.message()));
    }
    if (i >= set_.size()) return;  // not wanted by this node
    c_.out(static_cast<int>(i), Shape(dims));
    set_[i] = 1;
  }

  void check_outputs() const {
    const OpDef& op = c_.op;
    for (std::size_t i = 0; i < set_.size(); ++i)
      check(set_[i], Code::plugin, "its shape rule sets no output '",
            op.outputs[std::min(i, op.outputs.size() - 1)].name, "'");
    if (!op.pointwise) return;
    Shape common;
    for (int i = 0; i < c_.inputs(); ++i)
      if (c_.has(i)) common = broadcast(common, c_.in(i));
    for (std::size_t i = 0; i < set_.size(); ++i)
      check(c_.out(static_cast<int>(i)) == common, Code::plugin, "its shape rule gives output '", op.outputs[i].name,
            "' ", c_.out(static_cast<int>(i)), ", but it calls itself pointwise, which makes it ", common);
  }

 private:
  ShapeContext& c_;
  std::vector<char> set_;
};

class FlopsCall final : public tsr_call {
 public:
  FlopsCall(const ShapeContext& c, const MethodParameters* parameters) : tsr_call(parameters), c_(c) {}
  tsr_tensor input(std::uint32_t i) const override {
    const int at = index(i);
    return c_.has(at) ? tensor_of(c_.dtype(at), c_.in(at)) : absent_tensor();
  }
  tsr_tensor output(std::uint32_t i) const override {
    if (index(i) >= c_.outputs()) return absent_tensor();
    return tensor_of(output_type(adopted(c_.op), c_, i), c_.out(index(i)));
  }

 private:
  const ShapeContext& c_;
};

class KernelCall final : public tsr_call {
 public:
  KernelCall(const KernelContext& k, const MethodParameters* parameters) : tsr_call(parameters), k_(k) {}
  tsr_tensor input(std::uint32_t i) const override {
    const int at = index(i);
    return k_.has(at) ? tensor_of(k_.in(at)) : absent_tensor();
  }
  tsr_tensor output(std::uint32_t i) const override {
    const int at = index(i);
    return k_.wants(at) ? tensor_of(k_.out(at)) : absent_tensor();
  }

 private:
  const KernelContext& k_;
};

// NaN that came of finite inputs is a fault of the kernel: memory it did not write, a division it did not expect.
void check_nan(const KernelContext& k) {
  for (int o = 0; o < k.outputs(); ++o) {
    if (!k.wants(o) || !has_nan(k.out(o))) continue;
    for (int i = 0; i < k.inputs(); ++i)
      if (k.has(i) && !all_finite(k.in(i))) return;
    Error e(Code::plugin, concat("its kernel writes NaN to output '",
                                 k.op.outputs[std::min(static_cast<std::size_t>(o), k.op.outputs.size() - 1)].name,
                                 "' (element ", first_nan(k.out(o)), "), although all inputs are finite"));
    throw e.hint("an operator that may do so (a root, a logarithm) says TSR_MAKES_NAN");
  }
}

}  // namespace

void plugin_shape(ShapeContext& c) {
  const AdoptedOperator& a = adopted(c.op);
  const MethodParameters parameters(a.attributes, c.attr.all());
  in_plugin(a.frame, [&] {
    ShapeCall call(c, &parameters);
    call.run_function("shape rule", [&] { return a.table->shape(&plugin_host(), &call); });
    call.check_outputs();
  });
}

std::shared_ptr<const void> plugin_prepare(const PrepareContext& p) {
  return std::make_shared<const MethodParameters>(adopted(p.op).attributes, p.attr.all());
}

void plugin_kernel(const KernelContext& k) {
  const AdoptedOperator& a = adopted(k.op);
  in_plugin(a.frame, [&] {
    KernelCall call(k, &k.state<MethodParameters>());
    call.run_function("kernel", [&] { return a.table->kernel(&plugin_host(), &call); });
    if (!(a.table->flags & TSR_MAKES_NAN)) check_nan(k);
  });
}

double plugin_flops(const ShapeContext& c) {
  const AdoptedOperator& a = adopted(c.op);
  const MethodParameters parameters(a.attributes, c.attr.all());
  return in_plugin(a.frame, [&] {
    FlopsCall call(c, &parameters);
    const double flops = call.run("FLOP rule", [&] { return a.table->flops(&plugin_host(), &call); });
    check(std::isfinite(flops) && flops >= 0, Code::plugin, "its FLOP rule says ", flops,
          ", which is no number of them");
    return flops;
  });
}

}  // namespace tessera
