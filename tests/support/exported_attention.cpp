#include "tests/support/exported_attention.h"

#include <algorithm>

#include "runtime/graph/verify.h"
#include "runtime/pass/find_attention.h"
#include "tests/support/compare.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"

namespace tessera {
namespace {

using Sizes = ExportedAttention;

std::int64_t size_of_letter(const std::string& d) {
  if (d == "B") return Sizes::batch;
  if (d == "L") return Sizes::queries;
  if (d == "M") return Sizes::keys;
  return std::stoll(d);
}

Binding binding() {
  return {.shapes = {}, .symbols = {{"B", Sizes::batch}, {"L", Sizes::queries}, {"M", Sizes::keys}}};
}

Binding binding_for(const Graph& g) {
  Binding all = binding(), used;
  for (const auto& i : g.inputs)
    for (const auto& d : *i.declared)
      if (!d.symbol.empty()) used.symbols[d.symbol] = all.symbols.at(d.symbol);
  return used;
}

}  // namespace

ValueId ExportedAttention::sized_input(const std::string& name, const std::vector<std::string>& dims, DType t) {
  SymbolicShape declared;
  for (const auto& d : dims) {
    const bool symbol = dynamic && (d == "B" || d == "L" || d == "M");
    declared.push_back(symbol ? Dim{-1, d} : Dim{size_of_letter(d), {}});
  }
  return build.input(name, t, declared);
}

void ExportedAttention::projections() {
  q = sized_input("q", {"B", "L", concat(heads * dim)});
  k = sized_input("k", {"B", "M", concat(heads * dim)});
  v = sized_input("v", {"B", "M", concat(heads * v_dim)});
}

ValueId ExportedAttention::dim_of(ValueId x, std::int64_t axis) {
  return node("Gather", {node("Shape", {x}), build.constant(Tensor::scalar<std::int64_t>(axis))});
}

ValueId ExportedAttention::dims(std::vector<ValueId> scalars) {
  for (auto& s : scalars) s = node("Unsqueeze", {s, build.ints({0})});
  return node("Concat", scalars, {{"axis", std::int64_t{0}}});
}

ValueId ExportedAttention::split_heads(ValueId x, std::int64_t n) {
  if (!dynamic) return reshape(x, {0, 0, n, -1});
  const auto number = [&](std::int64_t i) { return build.constant(Tensor::scalar<std::int64_t>(i)); };
  return node("Reshape", {x, dims({dim_of(x, 0), dim_of(x, 1), number(n), number(-1)})});
}

ValueId ExportedAttention::flatten_heads(ValueId x) {
  const ValueId first = node("Slice", {node("Shape", {x}), build.ints({0}), build.ints({2}), build.ints({0})});
  return node("Reshape", {x, node("Concat", {first, build.ints({-1})}, {{"axis", std::int64_t{0}}})});
}

RewrittenAttention::RewrittenAttention(const Graph& g) {
  unsigned seed = 1;
  for (const auto& i : g.inputs) {
    Shape shape;
    for (const auto& d : *i.declared) shape.push_back(d.concrete() ? d.value : size_of_letter(d.symbol));
    inputs[g.at(i.value).name] = made_up(g.at(i.value).dtype, shape, seed++);
  }
  plain = graph_after(Stage::sites, g, binding_for(g), builtin_registry(), {.disabled = {"find_attention"}});
  found = graph_after(Stage::sites, g, binding_for(g), builtin_registry());
}

std::int64_t RewrittenAttention::count(std::string_view op) const {
  return std::count_if(found.nodes.begin(), found.nodes.end(), [&](const Node& n) { return n.op->name == op; });
}

const Node& RewrittenAttention::site() const {
  const auto at =
      std::find_if(found.nodes.begin(), found.nodes.end(), [](const Node& n) { return n.op->name == "dense"; });
  check(at != found.nodes.end(), "there is no site: ", reason_of_miss(plain));
  return *at;
}

std::string RewrittenAttention::text(std::string_view attribute) const {
  const auto at = site().attributes.find(attribute);
  return at == site().attributes.end() ? "" : to_text(at->second);
}

std::string RewrittenAttention::difference() const {
  verify(found);
  const auto expected = interpret(plain, inputs), got = interpret(found, inputs);
  std::string text;
  for (const auto& [name, t] : expected)
    if (const auto same = close(got.at(name), t, tolerance_of(t.dtype())); !same)
      text += concat(name, ": ", same.message(), "\n");
  return text;
}

std::string reason_of_miss(const Graph& g) {
  Graph bound = graph_after(Stage::fold, g, binding_for(g), builtin_registry());
  const auto missed = find_attention(bound, builtin_registry()).missed;
  return missed.empty() ? "nothing was missed" : concat(missed[0].node, ": ", missed[0].reason);
}

}  // namespace tessera
