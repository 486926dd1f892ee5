// A plugin's operator table -> OpDef.
#include <cmath>

#include "runtime/op/context.h"
#include "runtime/op/example.h"
#include "runtime/session/plugin_host/operators.h"
#include "runtime/session/plugin_host/tables.h"

namespace tessera {
namespace {

class Writer {
 public:
  Writer(AdoptedOperator& to, const tsr_op& table) : to_(to), table_(table) {}

  void ports() {
    for (const tsr_port& p : std::span(table_.inputs, table_.input_count)) add("inputs", to_.op.inputs, input(p));
    for (const tsr_port& p : std::span(table_.outputs, table_.output_count)) add("outputs", to_.op.outputs, output(p));
  }

  void attributes() {
    to_.attributes = parameters_of(table_.attributes, table_.attribute_count);
    for (const auto& p : to_.attributes) add("attributes", to_.op.attributes, attribute(p));
  }

  void examples() {
    for (const auto text : examples_of(table_.examples, table_.example_count)) {
      add("examples", to_.op.examples, text);
      try {
        parse_example(to_.op, text);
      } catch (const Error& e) {
        throw Error(Code::plugin, concat("its example \"", text, "\" cannot be read: ", e.message()));
      }
    }
  }

 private:
  template <class T, std::size_t N>
  void add(const char* what, List<T, N>& list, T item) {
    check(list.n < N, Code::plugin, "it has more than ", N, " ", what);
    list.items[list.n++] = item;
  }
  std::string_view keep(std::string text) { return to_.texts.emplace_back(std::move(text)); }

  // The input that "=X" names.
  int named_input(std::string_view name, std::size_t below) const {
    for (std::size_t i = 0; i < below; ++i)
      if (name == table_.inputs[i].name) return static_cast<int>(i);
    return -1;
  }

  static Presence presence(const tsr_port& p) {
    if (p.flags & TSR_VARIADIC) return Presence::variadic;
    return p.flags & TSR_OPTIONAL ? Presence::optional : Presence::required;
  }

  // The type variable of an input that takes several element types, or the one it takes.
  Port input(const tsr_port& p) {
    const std::string_view types = p.types;
    Port port{p.name, {}, p.doc, presence(p), false};
    if (types.starts_with('=')) {
      const int like = named_input(types.substr(1), to_.op.inputs.n);
      check(like >= 0, Code::plugin, port_label(true, p), " has the type of '", types.substr(1),
            "', which is no earlier input");
      port.type = to_.op.inputs[static_cast<std::size_t>(like)].type;
      return port;
    }
    const DTypeSet set = types_of(types);
    if (types.find('|') == std::string_view::npos) {
      port.type = name(dtype_from_name(types));
      return port;
    }
    port.type = keep(concat("T_", p.name));
    add("type variables", to_.op.types, {port.type, set});
    return port;
  }

  Port output(const tsr_port& p) {
    const std::string_view types = p.types;
    int like = -1;
    DType fixed = DType::undefined;
    if (types.starts_with('=')) {
      like = named_input(types.substr(1), table_.input_count);
      check(like >= 0, Code::plugin, port_label(false, p), " has the type of '", types.substr(1),
            "', which is no input");
    } else {
      types_of(types);
      check(types.find('|') == std::string_view::npos, Code::plugin, port_label(false, p), " may be ", types,
            ": an output has one element type, or \"=X\", that of input X");
      fixed = dtype_from_name(types);
    }
    to_.output_like.push_back(like);
    to_.output_types.push_back(fixed);
    const auto type = like < 0 ? name(fixed) : to_.op.inputs[static_cast<std::size_t>(like)].type;
    return {p.name, type, p.doc, presence(p), false};
  }

  // A range, which AttributeDef has no place for, goes into the words.
  AttributeDef attribute(const MethodParameter& p) {
    std::string doc = p.doc;
    if (std::isfinite(p.low) || std::isfinite(p.high)) doc += concat("; ", p.low, " to ", p.high);
    return attribute_of(p, std::move(doc), to_.texts);
  }

  AdoptedOperator& to_;
  const tsr_op& table_;
};

}  // namespace

void adopt(AdoptedOperator& adopted, const tsr_op& table, const std::string& frame) {
  adopted.table = &table;
  adopted.frame = frame;
  OpDef& op = adopted.op;
  op.name = table.name;
  op.domain = domain_of(table);
  op.since = op.introduced = static_cast<int>(table.since);
  op.doc = table.doc;
  op.source = table.source;
  op.pointwise = table.flags & TSR_POINTWISE;
  op.shape = plugin_shape;
  op.prepare = plugin_prepare;
  op.kernel = plugin_kernel;
  if (table.flops) op.flops = plugin_flops;
  op.gradient = gradient_missing;
  if (table.flags & TSR_NO_GRADIENT) op.gradient = no_gradient;
  if (table.gradient) op.gradient = plugin_gradient;
  op.user = &adopted;
  try {
    Writer writer(adopted, table);
    writer.ports();
    writer.attributes();
    writer.examples();
  } catch (Error& e) {
    throw e.in(concat("operator '", table.name, "'"));
  }
}

}  // namespace tessera
