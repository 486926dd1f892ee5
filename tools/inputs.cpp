#include "tools/inputs.h"

#include <charconv>
#include <filesystem>

#include "runtime/base/nearest.h"
#include "tools/data_set.h"
#include "tools/npz.h"
#include "tools/random.h"
#include "tools/tensor_files.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

// How to make up an input: "random:normal,seed=7", "random:range:0,128", "zeros".
struct Recipe {
  enum class Kind { normal, uniform, zeros, range } kind = Kind::normal;
  std::int64_t low = 0, high = 0;
  std::uint64_t seed = 0;
};

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(by, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

template <class T>
T number(const std::string& text, const std::string& spec) {
  T n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  check(error == std::errc() && end == text.data() + text.size(), "'", spec, "': '", text, "' is no whole number");
  return n;
}

// Nothing when the text is the name of a file.
std::optional<Recipe> parse_recipe(const std::string& spec) {
  static const std::vector<std::string> kinds = {"normal", "uniform", "zeros", "range"};
  const bool prefixed = spec.starts_with("random:");
  const std::string body = prefixed ? spec.substr(7) : spec;
  const std::string kind = body.substr(0, body.find_first_of(":,"));
  const auto found = std::find(kinds.begin(), kinds.end(), kind);
  if (found == kinds.end()) {
    check(!prefixed, "'", spec, "': there is no kind '", kind, "' of input", nearest_or_all(kind, kinds));
    return {};
  }
  Recipe r;
  r.kind = static_cast<Recipe::Kind>(found - kinds.begin());
  std::vector<std::string> parts = split(body.substr(std::min(body.size(), kind.size() + 1)), ',');
  if (body.size() == kind.size()) parts.clear();
  std::size_t next = 0;
  if (r.kind == Recipe::Kind::range) {
    check(body[std::min(kind.size(), body.size() - 1)] == ':' && parts.size() >= 2, "'", spec, "': write range:LO,HI");
    r.low = number<std::int64_t>(parts[next++], spec);
    r.high = number<std::int64_t>(parts[next++], spec);
  }
  for (; next < parts.size(); ++next) {
    check(parts[next].starts_with("seed="), "'", spec, "': '", parts[next], "' is not understood; only seed=N is");
    r.seed = number<std::uint64_t>(parts[next].substr(5), spec);
  }
  return r;
}

Tensor made(const Recipe& r, DType dtype, const Shape& shape) {
  switch (r.kind) {
    case Recipe::Kind::normal:
      return random_normal(dtype, shape, r.seed);
    case Recipe::Kind::uniform:
      return random_uniform(dtype, shape, r.seed);
    case Recipe::Kind::range:
      return random_integers(dtype, shape, r.low, r.high, r.seed);
    case Recipe::Kind::zeros:
      break;
  }
  return Tensor::zeros(dtype, shape);
}

// For inputs nobody gave, where that is allowed: floats are normal, integers and bools are 0 or 1.
Recipe default_recipe(DType dtype, std::uint64_t seed) {
  if (dtypes::floats.has(dtype)) return {Recipe::Kind::normal, 0, 0, seed};
  return {Recipe::Kind::range, 0, 2, seed};
}

std::string declared_text(const Graph& g, const GraphInput& i) {
  return i.declared ? concat(g.at(i.value).dtype, " ", *i.declared) : concat(g.at(i.value).dtype);
}

// "input 'x' (f32 [2x4]) is"
std::string absent_text(const Graph& g, const std::vector<const GraphInput*>& absent) {
  std::string list;
  for (const auto* i : absent)
    list += concat(list.empty() ? "" : ", ", "'", g.at(i->value).name, "' (", declared_text(g, *i), ")");
  return concat(absent.size() > 1 ? "inputs " : "input ", list, absent.size() > 1 ? " are" : " is");
}

void missing_error(const Graph& g, const std::vector<const GraphInput*>& missing) {
  const auto& first = *missing[0];
  const bool real = dtypes::floats.has(g.at(first.value).dtype);
  throw Error(Code::bad_input, absent_text(g, missing) + " not given")
      .hint(concat("give ", missing.size() > 1 ? "each" : "it", " with --input ", g.at(first.value).name,
                   "=FILE or --input ", g.at(first.value).name,
                   "=random:", real ? "normal,seed=1" : "range:0,100,seed=1", ", or all with --inputs DIR"));
}

Shape generated_shape(const Graph& bound, std::size_t n) {
  const Value& v = bound.at(bound.inputs[n].value);
  if (v.shape) return *v.shape;
  const auto& declared = bound.inputs[n].declared;
  check(declared.has_value(), "input '", v.name, "' has no declared shape; give it with --shape ", v.name, "=DIMS");
  std::string symbols;
  for (const auto& d : *declared)
    if (!d.concrete() && !d.symbol.empty()) symbols += concat(" --set ", d.symbol, "=N");
  throw Error(Code::bad_input, concat("the size of input '", v.name, "' ", *declared, " is not known"))
      .hint(concat("give it with --shape ", v.name, "=DIMS", symbols.empty() ? "" : " or", symbols));
}

}  // namespace

NamedTensors stored_inputs(const std::string& path, const Graph& graph) {
  const auto names = input_names(graph);
  if (!path.ends_with(".npz")) {
    const auto tensors = read_numbered(path, "input");
    check(!tensors.empty() || names.empty(), "folder '", path, "' has no input_0.pb");
    return paired(tensors, names);
  }
  NamedTensors all = read_npz(path);
  for (const auto& [name, tensor] : all) {
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    check(known, "'", path, "' has an array '", name, "', which is no input of the model", nearest_or_all(name, names));
  }
  return all;
}

Binding binding_of(const InputFlags& flags, const Graph& graph, const NamedTensors& given) {
  Binding b = flags.binding(graph);
  for (const auto& i : graph.inputs) {
    const auto it = given.find(graph.at(i.value).name);
    if (it == given.end()) continue;
    const Shape& shape = it->second.shape();
    const auto asked = b.shapes.find(it->first);
    check(asked == b.shapes.end() || asked->second == shape, "input '", it->first, "' has shape ", shape,
          ", --shape asks for ", asked == b.shapes.end() ? shape : asked->second);
    b.shapes[it->first] = shape;
  }
  // Symbols that the shapes settle hold for the other inputs too.
  for (const auto& i : graph.inputs) {
    const auto it = b.shapes.find(graph.at(i.value).name);
    if (it == b.shapes.end() || !i.declared || i.declared->size() != it->second.size()) continue;
    for (std::size_t d = 0; d < i.declared->size(); ++d)
      if (const auto& symbol = (*i.declared)[d].symbol; !symbol.empty()) b.symbols.emplace(symbol, it->second[d]);
  }
  return b;
}

NamedTensors given_inputs(const InputFlags& flags, const Graph& graph) {
  NamedTensors inputs = flags.inputs.empty() ? NamedTensors{} : stored_inputs(flags.inputs, graph);
  const auto names = input_names(graph);
  for (const auto& [name, value] : assignments(flags.input, "--input")) {
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    check(known, "--input: the model has no input '", name, "'", nearest_or_all(name, names));
    inputs.erase(name);
    if (!parse_recipe(value)) inputs[name] = read_tensor(value, name);
  }
  return inputs;
}

Tensor tensor_from(const std::string& spec, const std::string& name, DType dtype, const Shape& shape) {
  const auto recipe = parse_recipe(spec);
  return recipe ? made(*recipe, dtype, shape) : read_tensor(spec, name);
}

NamedTensors make_inputs(const InputFlags& flags, const Graph& graph, Missing missing) {
  NamedTensors inputs = given_inputs(flags, graph);
  const auto names = input_names(graph);
  std::map<std::string, Recipe> recipes;
  for (const auto& [name, value] : assignments(flags.input, "--input"))
    if (const auto recipe = parse_recipe(value)) recipes[name] = *recipe;
  std::vector<const GraphInput*> absent;
  for (std::size_t n = 0; n < names.size(); ++n) {
    if (inputs.contains(names[n]) || recipes.contains(names[n])) continue;
    absent.push_back(&graph.inputs[n]);
    if (missing != Missing::error) recipes[names[n]] = default_recipe(graph.at(graph.inputs[n].value).dtype, n + 1);
  }
  if (!absent.empty() && missing == Missing::error) missing_error(graph, absent);
  if (!absent.empty() && missing == Missing::random)
    remark(absent_text(graph, absent) + " not given: made up at random");
  if (recipes.empty() && flags.shape.empty() && flags.set.empty()) return inputs;

  Graph bound = graph;  // --shape and --set are compared with the tensors given, also where nothing is made up
  bind_shapes(bound, binding_of(flags, graph, inputs), false);
  for (std::size_t n = 0; n < names.size(); ++n)
    if (const auto r = recipes.find(names[n]); r != recipes.end()) try {
        inputs[names[n]] = made(r->second, graph.at(graph.inputs[n].value).dtype, generated_shape(bound, n));
      } catch (Error& e) {
        throw e.in("input '" + names[n] + "'");
      }
  return inputs;
}

}  // namespace tessera
