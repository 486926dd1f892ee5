#include "runtime/op/infer.h"

#include <algorithm>

#include "runtime/base/nearest.h"

namespace tessera {
namespace {

// The port that input or output i belongs to; null when there are too many.
const Port* port_at(std::span<const Port> ports, std::size_t i) {
  if (i < ports.size()) return &ports[i];
  return !ports.empty() && ports.back().presence == Presence::variadic ? &ports.back() : nullptr;
}

void check_attributes(const OpDef& op, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    const auto def = std::ranges::find(op.attributes, name, &AttributeDef::name);
    if (def == op.attributes.end()) {
      std::vector<std::string> names;
      for (const auto& d : op.attributes) names.emplace_back(d.name);
      check(false, op.name, " has no attribute '", name, "'", did_you_mean(name, names));
    }
    check(def->type == type_of(value), "attribute '", name, "' of ", op.name, " must be ", tessera::name(def->type),
          ", got ", tessera::name(type_of(value)));
    if (!def->choices.empty()) AttributeReader(op.attributes, attributes).choice(name);
  }
  for (const auto& def : op.attributes)
    check(def.fallback.kind != Default::Kind::required || attributes.find(def.name) != attributes.end(), op.name,
          " needs attribute '", def.name, "'");
}

std::size_t variable_index(const OpDef& op, std::string_view type) {
  for (std::size_t i = 0; i < op.types.size(); ++i)
    if (op.types[i].name == type) return i;
  return op.types.size();
}

}  // namespace

std::vector<DType> infer_dtypes(const OpDef& op, const Attributes& attributes, std::span<const DType> in, int outputs) {
  check_attributes(op, attributes);
  std::vector<DType> bound(op.types.size(), DType::undefined);
  for (std::size_t i = 0; i < std::max(in.size(), op.inputs.size()); ++i) {
    const Port* port = port_at(op.inputs, i);
    check(port != nullptr, op.name, " takes at most ", op.inputs.size(), " inputs, got ", in.size());
    const DType got = i < in.size() ? in[i] : DType::undefined;
    if (got == DType::undefined) {
      check(port->presence != Presence::required, op.name, " needs input '", port->name, "'");
      continue;
    }
    const auto v = variable_index(op, port->type);
    if (v == op.types.size()) {
      check(name(got) == port->type, "input '", port->name, "' must be ", port->type, ", got ", got);
      continue;
    }
    check(op.types[v].allowed.has(got), Code::unsupported, op.name, " does not take ", got, " for input '", port->name,
          "'");
    if (port->mixed) continue;
    check(bound[v] == DType::undefined || bound[v] == got, "input '", port->name, "' is ", got, " but another of type ",
          port->type, " is ", bound[v]);
    bound[v] = got;
  }
  std::vector<DType> out(static_cast<std::size_t>(outputs), DType::undefined);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Port* port = port_at(op.outputs, i);
    check(port != nullptr, op.name, " has at most ", op.outputs.size(), " outputs, asked for ", outputs);
    const auto v = variable_index(op, port->type);
    out[i] = v == op.types.size() ? dtype_from_name(port->type) : bound[v];
  }
  if (op.dtype) op.dtype(AttributeReader(op.attributes, attributes), in, out);
  for (std::size_t i = 0; i < out.size(); ++i)
    check(out[i] != DType::undefined, Code::unsupported, op.name, ": the type of output ", i, " cannot be told");
  return out;
}

std::optional<std::vector<Shape>> infer_shapes(const OpDef& op, const Attributes& attributes, std::span<const DType> in,
                                               std::span<const Shape* const> shapes,
                                               std::span<const Tensor* const> values, int outputs) {
  if (op.late || !op.shape) return std::nullopt;
  std::vector<TensorType> types(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] == DType::undefined) continue;
    if (!shapes[i]) return std::nullopt;
    types[i] = {in[i], *shapes[i]};
  }
  for (const int i : op.shape_reads) {
    const auto at = static_cast<std::size_t>(i);
    if (at < in.size() && in[at] != DType::undefined && !values[at]) return std::nullopt;
  }
  ShapeContext context(op, attributes, std::move(types), {values.begin(), values.end()},
                       static_cast<std::size_t>(outputs));
  op.shape(context);
  std::vector<Shape> out;
  for (int i = 0; i < outputs; ++i) out.push_back(context.out(i));
  return out;
}

}  // namespace tessera
