#include "tests/support/interpret.h"

#include "runtime/graph/build.h"
#include "runtime/op/evaluate.h"

namespace tessera {
namespace {

class Branches final : public SubgraphRunner {
 public:
  std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs) override {
    return interpret(static_cast<const GraphBody&>(body).graph, inputs);
  }
};

}  // namespace

std::vector<Tensor> interpret(const Graph& g, std::span<const Tensor> inputs) {
  check(inputs.size() == g.inputs.size(), "the graph has ", g.inputs.size(), " inputs, given are ", inputs.size());
  std::vector<Tensor> values;
  for (const auto& v : g.values) values.push_back(v.constant);
  for (std::size_t i = 0; i < inputs.size(); ++i) values[index(g.inputs[i].value)] = inputs[i];
  Branches branches;
  for (const auto& n : g.nodes) {
    std::vector<const Tensor*> in;
    for (const auto v : n.in) in.push_back(v == ValueId::none ? nullptr : &values[index(v)]);
    try {
      auto out = evaluate(*n.op, n.attributes, in, static_cast<int>(n.out.size()), &branches);
      for (std::size_t i = 0; i < out.size(); ++i)
        if (n.out[i] != ValueId::none) values[index(n.out[i])] = std::move(out[i]);
    } catch (Error& e) {
      throw e.in(describe(n));
    }
  }
  std::vector<Tensor> outputs;
  for (const auto& o : g.outputs) outputs.push_back(values[index(o.value)]);
  return outputs;
}

std::map<std::string, Tensor> interpret(const Graph& g, const std::map<std::string, Tensor>& inputs) {
  std::vector<Tensor> in;
  for (const auto& i : g.inputs) {
    const auto at = inputs.find(g.at(i.value).name);
    check(at != inputs.end(), "input '", g.at(i.value).name, "' is not given");
    in.push_back(at->second);
  }
  const auto out = interpret(g, in);
  std::map<std::string, Tensor> named;
  for (std::size_t i = 0; i < out.size(); ++i) named.emplace(g.outputs[i].name, out[i]);
  return named;
}

}  // namespace tessera
