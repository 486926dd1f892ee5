#include "runtime/session/plugin_host/tables.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <set>

namespace tessera {
namespace {

bool is_name(const char* text) {
  if (!text || !(std::isalpha(static_cast<unsigned char>(*text)) || *text == '_')) return false;
  return std::all_of(text, text + std::char_traits<char>::length(text),
                     [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

void check_name(const std::string& what, const char* name) {
  check(is_name(name), Code::plugin, what, " has ", name ? concat("the name '", name, "'") : "no name",
        "; names are letters, digits and '_'");
}

void check_text(const std::string& what, const char* field, const char* text) {
  check(text && *text, Code::plugin, what, " has no ", field, "; write it: `tessera plugins info` shows it to users");
}

void check_version(const std::string& what, std::uint32_t version) {
  check(version >= 1 && version <= INT_MAX, Code::plugin, what, " has version ", version, "; versions are 1 to ",
        INT_MAX);
}

void check_list(const std::string& what, const char* field, const void* list, std::uint32_t count) {
  check(list != nullptr || count == 0, Code::plugin, what, " says it has ", count, " ", field, ", but gives none");
}

void check_parameters(const std::string& owner, const tsr_parameter* list, std::uint32_t count) {
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    check_name(concat("parameter ", i, " of ", owner), list[i].name);
    check(names.insert(list[i].name).second, Code::plugin, owner, " has two parameters '", list[i].name, "'");
    const std::string label = concat("parameter '", list[i].name, "' of ", owner);
    check_text(label, "doc", list[i].doc);
    check(!list[i].fallback || *list[i].fallback, Code::plugin, label,
          " has an empty default; NULL says that there is none, \"\\\"\\\"\" is that of an empty text");
  }
}

void check_ports(const std::string& owner, bool inputs, const tsr_port* list, std::uint32_t count) {
  const char* kind = inputs ? "inputs" : "outputs";
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string what = concat(kind, "[", i, "] of ", owner);
    check_name(what, list[i].name);
    check(names.insert(list[i].name).second, Code::plugin, owner, " has two ", kind, " '", list[i].name, "'");
    const std::string label = concat(port_label(inputs, list[i]), " of ", owner);
    check_text(label, "types", list[i].types);
    check_text(label, "doc", list[i].doc);
    const bool last = i + 1 == count;
    check(!(list[i].flags & TSR_VARIADIC) || (last && inputs), Code::plugin, label,
          " is variadic, which only the last input can be");
  }
}

void check_op(const std::string& what, const tsr_op& op) {
  check_name(what, op.name);
  const std::string label = concat("operator '", op.name, "'");
  check(op.domain != nullptr, Code::plugin, label, " has no domain");
  const std::string_view domain = op.domain;
  check(domain != "tessera.attention" && domain != "tessera", Code::plugin, label, " is in domain '", domain,
        "', which is Tessera's own");
  check_version(label, op.since);
  check_text(label, "doc", op.doc);
  check_text(label, "source", op.source);
  check(op.shape != nullptr, Code::plugin, label, " has no shape rule");
  check(op.kernel != nullptr, Code::plugin, label, " has no kernel");
  check(!op.gradient || !(op.flags & TSR_NO_GRADIENT), Code::plugin, label, " has a gradient and says it has none");
  check(op.output_count > 0, Code::plugin, label, " has no output");
  check_ports(label, true, op.inputs, op.input_count);
  check_ports(label, false, op.outputs, op.output_count);
  check_parameters(label, op.attributes, op.attribute_count);
  check_list(label, "examples", op.examples, op.example_count);
}

void check_method(const std::string& what, const tsr_method& m) {
  check_name(what, m.name);
  const std::string label = concat("attention method '", m.name, "'");
  check_version(label, m.version);
  check_text(label, "doc", m.doc);
  check_text(label, "source", m.source);
  check((m.select != nullptr) != (m.forward != nullptr), Code::plugin, label,
        m.select ? " has both select and forward" : " has neither select nor forward");
  check(!m.backward || m.forward, Code::plugin, label, " has a backward, but no forward");
  check_parameters(label, m.parameters, m.parameter_count);
  check_ports(label, true, m.inputs, m.input_count);
  check_list(label, "examples", m.examples, m.example_count);
}

AttributeType type_of_parameter(const tsr_parameter& p) {
  switch (p.type) {
    case TSR_INTEGER:
      return AttributeType::integer;
    case TSR_REAL:
      return AttributeType::real;
    case TSR_TEXT:
      return AttributeType::text;
    case TSR_INTEGERS:
      return AttributeType::integers;
  }
  throw Error(Code::plugin, concat("parameter '", p.name, "' has type ", p.type, ", which does not exist"));
}

}  // namespace

void check_tables(const tsr_plugin& plugin) {
  check_name("the plugin", plugin.name);
  check_text("the plugin", "version", plugin.version);
  check_text("the plugin", "doc", plugin.doc);
  check(plugin.op_count + plugin.method_count > 0, Code::plugin, "it has neither operators nor methods");
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < plugin.op_count; ++i) {
    const tsr_op& op = plugin.ops[i];
    check_op(concat("operator ", i), op);
    check(names.insert(concat(domain_of(op), "::", op.name)).second, Code::plugin, "it has two operators '", op.domain,
          "::", op.name, "'");
  }
  for (std::uint32_t i = 0; i < plugin.method_count; ++i) {
    const tsr_method& m = plugin.methods[i];
    check_method(concat("method ", i), m);
    check(names.insert(m.name).second, Code::plugin, "it has two attention methods '", m.name, "'");
  }
}

std::vector<MethodParameter> parameters_of(const tsr_parameter* list, std::uint32_t count) {
  std::vector<MethodParameter> parameters;
  for (const tsr_parameter& p : std::span(list, count)) {
    MethodParameter to;
    to.name = p.name;
    to.type = type_of_parameter(p);
    if (p.fallback) to.fallback = p.fallback;
    if (p.low != 0 || p.high != 0) {
      check(p.low <= p.high, Code::plugin, "parameter '", p.name, "' has the empty range ", p.low, " to ", p.high);
      to.low = p.low;
      to.high = p.high;
    }
    if (p.choices && to.type == AttributeType::text) to.choices = p.choices;
    to.doc = p.doc;
    if (!to.fallback.empty() && to.fallback != "required") try {
        parse_parameter(to, to.fallback);
      } catch (const Error& e) {
        throw Error(Code::plugin, concat("its default is wrong: ", e.message()));
      }
    parameters.push_back(std::move(to));
  }
  return parameters;
}

DTypeSet types_of(std::string_view text) {
  DTypeSet set;
  for (const auto& part : alternatives(text)) {
    const DType t = dtype_from_name(part);
    check(size_of(t) > 0, Code::plugin, "there is no element type '", part, "' (f32 f64 f16 bf16 i8 ... u64 bool)");
    set = set | DTypeSet{1u << static_cast<int>(t)};
  }
  return set;
}

std::vector<std::string_view> examples_of(const char* const* list, std::uint32_t count) {
  std::vector<std::string_view> examples;
  for (const char* e : std::span(list, count)) {
    check(e != nullptr, Code::plugin, "one of its ", count, " examples is null");
    examples.emplace_back(e);
  }
  return examples;
}

}  // namespace tessera
