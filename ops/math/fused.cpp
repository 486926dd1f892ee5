#include "ops/pointwise_program.h"

namespace tessera {
namespace {

std::vector<PointwiseStep> steps_of(const AttributeReader& attr, std::size_t inputs) {
  return parse_steps(attr.texts("steps"), static_cast<int>(inputs));
}

void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out) {
  out[0] = dtypes_of_slots(steps_of(attr, in.size()), in).back();
}

void shape(ShapeContext& c) {
  std::vector<TensorType> in;
  for (int i = 0; i < c.inputs(); ++i) in.push_back({c.dtype(i), c.in(i)});
  const auto types = types_of_slots(steps_of(c.attr, in.size()), in);
  for (const auto& t : types)
    check(broadcasts_to(t.shape, types.back().shape), "the result ", types.back().shape, " is smaller than ", t.shape);
  c.out(0, types.back().shape);
}

std::shared_ptr<const void> prepare(const PrepareContext& p) {
  return std::make_shared<const PointwiseProgram>(steps_of(p.attr, p.in.size()), p.in);
}

}  // namespace

extern constinit const OpDef op_fused = define({
    .name = "Fused",
    .domain = "tessera",
    .doc = "A chain or tree of pointwise operators in one sweep over memory. `steps` lists them in order: Mul(x0, x1), "
           "then Gelu(s0, approximate=\"tanh\"): x0, x1, ... are the inputs, s0, s1, ... the results of the steps "
           "before; the last step gives Y. The bits are those of the operators one after another.",
    .source = "tessera; vector-at-a-time interpretation, Boncz et al., CIDR 2005",
    .inputs = {{"x", "T", "broadcast with each other", Presence::variadic, true}},
    .outputs = {{"Y", "U", "the broadcast shape"}},
    .attributes = {{"steps", AttributeType::texts, required, "one pointwise operator each, with its operands"}},
    .types = {{"T", dtypes::all}, {"U", dtypes::all}},
    .dtype = dtype,
    .shape = shape,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}, {2, 0}},
    .flops =
        [](const ShapeContext& c) {
          return static_cast<double>(c.attr.texts("steps").size()) * static_cast<double>(count(c.out(0)));
        },
    .prepare = prepare,
    .kernel = [](const KernelContext& k) { k.state<PointwiseProgram>().run(k); },
    .gradient = gradient_missing,  // chains are fused after differentiation
    .examples =
        {"{{1, 2}, {3, 4}}; {10, 20}; 1; steps=[\"Mul(x0, x1)\", \"Add(s0, x2)\"] -> {{11, 41}, {31, 81}}",
         "{-2, 0, 3}; {1, 2, 3}; steps=[\"Relu(x0)\", \"Mul(s0, s0)\", \"Sub(x1, s1)\"] -> {1, 2, -6}",
         "bool{true, false}; i64{1, 2}; i64 3; steps=[\"Sub(x2, x1)\", \"Where(x0, s0, x1)\", \"Cast(s1, to=1)\"] "
         "-> {2, 2}",
         "{{1}, {4}}; {2, 3}; steps=[\"Sqrt(x0)\", \"Swish(s0, alpha=0)\", \"Max(s1, x1, s0)\"] -> {{2, 3}, "
         "{2, 3}}"},
});

}  // namespace tessera
