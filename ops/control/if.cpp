#include "runtime/op/context.h"

namespace tessera {
namespace {

// Both branches give the same number of outputs, of the same types.
void dtype(const AttributeReader& attr, std::span<const DType> in, std::span<DType> out) {
  const Subgraph &yes = attr.graph("then_branch"), &no = attr.graph("else_branch");
  const auto types = yes.output_dtypes();
  check(types == no.output_dtypes(), "the branches differ in number or types of their outputs");
  check(types.size() >= out.size(), "the branches have ", types.size(), " outputs, the node ", out.size());
  for (const Subgraph* branch : {&yes, &no})
    check(branch->input_count() + 1 == in.size(), "a branch takes ", branch->input_count(), " values, the node gives ",
          in.size() - 1);
  std::copy_n(types.begin(), out.size(), out.begin());
}

void kernel(const KernelContext& k) {
  check(k.in(0).size() == 1, "cond must have one element, got shape ", k.in(0).shape());
  const Subgraph& branch = k.attr.graph(k.in(0).read<bool>()[0] ? "then_branch" : "else_branch");
  std::vector<Tensor> captured;
  for (int i = 1; i < k.inputs(); ++i) captured.push_back(k.has(i) ? k.in(i) : Tensor());
  auto results = k.run(branch, captured);
  for (int i = 0; i < k.outputs(); ++i)
    if (k.wants(i)) k.give(i, std::move(results.at(static_cast<std::size_t>(i))));
}

}  // namespace

extern constinit const OpDef op_if = define({
    .name = "If",
    .since = 24,
    .doc =
        "Runs one of two graphs. What a branch uses of the graph around it is made explicit when a model is imported: "
        "the inputs after the condition are the inputs of both branches.",
    .source = "ONNX If-24",
    .inputs = {{"cond", "bool", "one element"}, {"captured", "V", "any types and shapes", Presence::variadic, true}},
    .outputs = {{"outputs", "V", "what the branch gives", Presence::variadic, true}},
    .attributes = {{"then_branch", AttributeType::graph, required, "run when cond is true"},
                   {"else_branch", AttributeType::graph, required, "run when cond is false"}},
    .types = {{"V", dtypes::all}},
    .dtype = dtype,
    .late = true,
    .kernel = kernel,
    .gradient = gradient_missing,
});

}  // namespace tessera
