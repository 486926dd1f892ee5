#include "runtime/pass/bind_shapes.h"

#include <algorithm>

#include "runtime/base/nearest.h"

namespace tessera {
namespace {

// The sizes of symbols, each with the place that fixed it.
class Symbols {
 public:
  void set(const std::string& symbol, std::int64_t size, const std::string& where) {
    const auto [at, fresh] = known_.try_emplace(symbol, size, where);
    check(fresh || at->second.first == size, "'", symbol, "' is ", at->second.first, " (", at->second.second, ") and ",
          size, " (", where, "); equal names mean equal sizes");
  }
  const std::int64_t* find(const std::string& symbol) const {
    const auto at = known_.find(symbol);
    return at == known_.end() ? nullptr : &at->second.first;
  }

 private:
  std::map<std::string, std::pair<std::int64_t, std::string>> known_;
};

void check_names(const Graph& g, const Binding& binding) {
  std::vector<std::string> inputs, symbols;
  for (const auto& i : g.inputs) {
    inputs.push_back(g.at(i.value).name);
    if (!i.declared) continue;
    for (const auto& d : *i.declared)
      if (!d.symbol.empty()) symbols.push_back(d.symbol);
  }
  const auto known = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, shape] : binding.shapes) {
    check(known(inputs, name), "the model has no input '", name, "'", did_you_mean(name, inputs));
    for (const auto d : shape) check(d >= 0, "the shape given for input '", name, "' has a dim of ", d);
  }
  for (const auto& [symbol, size] : binding.symbols) {
    check(known(symbols, symbol), "no input has a dim named '", symbol, "'", did_you_mean(symbol, symbols));
    check(size >= 0, "the size given for '", symbol, "' is ", size);
  }
}

// A shape given must be one the declaration allows; it fixes the symbols in it. One element, as [1] say, passes for a
// scalar, as it does in ONNX Runtime.
void agree(const std::string& name, const Shape& given, const SymbolicShape& declared, Symbols& symbols) {
  if (declared.empty() && count(given) == 1) return;
  check(given.size() == declared.size(), "input '", name, "' is ", declared, " in the model, which has rank ",
        declared.size(), "; the shape given is ", given);
  for (std::size_t d = 0; d < given.size(); ++d) {
    check(!declared[d].concrete() || declared[d].value == given[d], "dim ", d, " of input '", name, "' is ",
          declared[d], " in the model (", declared, "); the shape given is ", given);
    if (!declared[d].symbol.empty())
      symbols.set(declared[d].symbol, given[d], concat("dim ", d, " of input '", name, "'"));
  }
}

Error unbound(const std::string& name, const std::optional<SymbolicShape>& declared) {
  if (!declared)
    return Error(Code::bad_input, concat("the model gives no shape for input '", name, "'"))
        .hint(concat("give it with --input ", name, "=FILE or --shape ", name, "=2x3"));
  std::string sets;
  bool unnamed = false;
  for (const auto& d : *declared) {
    if (!d.concrete() && d.symbol.empty()) unnamed = true;
    if (!d.symbol.empty()) sets += concat(" --set ", d.symbol, "=N");
  }
  Error e(Code::bad_input, concat("the shape of input '", name, "' is not known: ", *declared));
  return unnamed ? e.hint(concat("give it with --input ", name, "=FILE or --shape ", name, "=..."))
                 : e.hint(concat("give the sizes with", sets, " or the input with --input ", name, "=FILE"));
}

}  // namespace

void bind_shapes(Graph& g, const Binding& binding, bool complete) {
  check_names(g, binding);
  Symbols symbols;
  for (const auto& [symbol, size] : binding.symbols) symbols.set(symbol, size, "given");
  for (const auto& i : g.inputs) {
    const auto& name = g.at(i.value).name;
    const auto given = binding.shapes.find(name);
    if (given != binding.shapes.end() && i.declared) agree(name, given->second, *i.declared, symbols);
  }

  bool changed = false;
  for (const auto& i : g.inputs) {
    Value& v = g.at(i.value);
    std::optional<Shape> shape;
    if (const auto given = binding.shapes.find(v.name); given != binding.shapes.end()) {
      shape = given->second;
    } else if (i.declared) {
      SymbolicShape bound = *i.declared;
      for (auto& d : bound)
        if (const auto* size = symbols.find(d.symbol); !d.symbol.empty() && size) d = {*size, {}};
      shape = concrete(bound);
    }
    if (!shape && complete) throw unbound(v.name, i.declared);
    if (shape) element_count(*shape);
    changed |= shape != v.shape;
    v.shape = std::move(shape);
  }
  if (!changed) return;
  // What was known inside the graph was known for other shapes.
  for (const auto& n : g.nodes)
    for (const auto v : n.out)
      if (v != ValueId::none) g.at(v).shape.reset();
}

}  // namespace tessera
