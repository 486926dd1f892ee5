#include "tools/operator_page.h"

#include "tools/json.h"

namespace tessera {
namespace {

std::string types_text(DTypeSet set) {
  if (set == dtypes::all) return "all";
  if (set == dtypes::numeric) return "numbers";
  std::string text;
  for (int t = 1; t <= 26; ++t)
    if (set.has(static_cast<DType>(t))) text += concat(text.empty() ? "" : " ", static_cast<DType>(t));
  return text;
}

std::vector<std::string> type_names(DTypeSet set) {
  std::vector<std::string> names;
  for (int t = 1; t <= 26; ++t)
    if (set.has(static_cast<DType>(t))) names.emplace_back(name(static_cast<DType>(t)));
  return names;
}

std::string presence_text(const Port& p) {
  if (p.presence == Presence::optional) return "optional";
  return p.presence == Presence::variadic ? "any number" : "";
}

std::string default_text(const Default& d) {
  switch (d.kind) {
    case Default::Kind::absent:
      return "-";
    case Default::Kind::required:
      return "required";
    case Default::Kind::integer:
      return concat(d.integer);
    case Default::Kind::real:
      return concat(d.real);
    case Default::Kind::text:
      return concat('"', d.text, '"');
  }
  return {};
}

Table ports_table(std::span<const Port> ports) {
  Table table{{"name", "type", "shape", ""}, {}};
  for (const auto& p : ports)
    table.rows.push_back({std::string(p.name), std::string(p.type), std::string(p.doc), presence_text(p)});
  return table;
}

Json ports_json(std::span<const Port> ports) {
  static constexpr const char* presences[] = {"required", "optional", "variadic"};
  Json list = Json::array();
  for (const auto& p : ports)
    list.push_back(
        {{"name", p.name}, {"type", p.type}, {"doc", p.doc}, {"presence", presences[static_cast<int>(p.presence)]}});
  return list;
}

Json default_json(const Default& d) {
  if (d.kind == Default::Kind::integer) return d.integer;
  if (d.kind == Default::Kind::real) return d.real;
  return d.kind == Default::Kind::text ? Json(d.text) : Json(nullptr);
}

}  // namespace

std::string domain_name(const OpDef& op) { return op.domain.empty() ? "ai.onnx" : std::string(op.domain); }

std::string gradient_word(const OpDef& op) {
  if (op.expand) return "by expansion";
  if (op.gradient.is(no_gradient)) return "none";
  return op.gradient.is(gradient_missing) ? "missing" : "yes";
}

std::string element_types(const OpDef& op) {
  std::string text;
  for (const auto& v : op.types) text += concat(text.empty() ? "" : "; ", v.name, ": ", types_text(v.allowed));
  return text;
}

// "DCR or CRD; DCR: channel = ..."
std::string meaning(const AttributeDef& a) {
  const std::string choices = alternatives_text(a.choices);
  return concat(choices, choices.empty() || a.doc.empty() ? "" : "; ", a.doc);
}

std::string operator_page(const OpDef& op, Format format) {
  std::string text = concat(op.name, "  ", domain_name(op), ", version ", op.since, ", introduced in ", op.introduced,
                            "\n\n", op.doc, "\n\nsource     ", op.source, "\ngradient   ", gradient_word(op), "\n");
  const auto section = [&](const char* title, const Table& t) {
    if (!t.rows.empty()) text += concat("\n", title, "\n", format == Format::md ? "\n" : "", render(t, format, 2));
  };
  section("inputs", ports_table(op.inputs));
  section("outputs", ports_table(op.outputs));
  Table attributes{{"name", "type", "default", "meaning"}, {}}, types{{"type", "elements"}, {}};
  for (const auto& a : op.attributes)
    attributes.rows.push_back({std::string(a.name), std::string(name(a.type)), default_text(a.fallback), meaning(a)});
  for (const auto& v : op.types) types.rows.push_back({std::string(v.name), types_text(v.allowed)});
  section("attributes", attributes);
  section("types", types);
  if (!op.examples.empty()) text += "\nexamples\n";
  for (const auto e : op.examples) text += concat(format == Format::md ? "\n    " : "  ", e, "\n");
  return text;
}

Json operator_json(const OpDef& op) {
  Json types = Json::object(), attributes = Json::array(), examples = Json::array();
  for (const auto& v : op.types) types[std::string(v.name)] = type_names(v.allowed);
  for (const auto& a : op.attributes)
    attributes.push_back({{"name", a.name},
                          {"type", name(a.type)},
                          {"required", a.fallback.kind == Default::Kind::required},
                          {"default", default_json(a.fallback)},
                          {"choices", alternatives(a.choices)},
                          {"doc", a.doc}});
  for (const auto e : op.examples) examples.push_back(e);
  return {{"name", op.name},
          {"domain", domain_name(op)},
          {"since", op.since},
          {"introduced", op.introduced},
          {"doc", op.doc},
          {"source", op.source},
          {"gradient", gradient_word(op)},
          {"inputs", ports_json(op.inputs)},
          {"outputs", ports_json(op.outputs)},
          {"attributes", attributes},
          {"types", types},
          {"examples", examples}};
}

}  // namespace tessera
