#include "ops/pointwise_steps.h"

#include <cctype>
#include <charconv>

namespace tessera {
namespace {

std::string qualified(const OpDef& op) {
  return op.domain.empty() ? std::string(op.name) : concat(op.domain, "::", op.name);
}

const AttributeDef* attribute_of(const OpDef& op, std::string_view name) {
  for (const auto& def : op.attributes)
    if (def.name == name) return &def;
  return nullptr;
}

bool can_be_written(const Attribute& a) {
  const auto* text = std::get_if<std::string>(&a);
  return type_of(a) == AttributeType::integer || type_of(a) == AttributeType::real ||
         (text && text->find('"') == std::string::npos);
}

std::string written(const Attribute& a) {
  if (const auto* real = std::get_if<float>(&a)) {  // the shortest text that reads as the same number
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, *real).ptr;
    return {digits, end};
  }
  return to_text(a);
}

class StepReader {
 public:
  StepReader(std::string_view text, int inputs, int steps) : rest_(text), inputs_(inputs), steps_(steps) {}

  PointwiseStep read() {
    PointwiseStep step;
    step.op = operator_named(word());
    expect('(');
    while (!take(')')) {
      argument(step);
      if (!take(',')) check(rest_.starts_with(')'), "expected ',' or ')' at \"", rest_, "\"");
    }
    check(rest_.empty(), "nothing may follow ')', got \"", rest_, "\"");
    check(can_be_step(*step.op, step.attributes), qualified(*step.op), " cannot be a step: it must be pointwise");
    return step;
  }

 private:
  static const OpDef* operator_named(std::string_view name) {
    const auto colon = name.find("::");
    const OpDef* op = colon == std::string_view::npos
                          ? builtin_registry().find("", name)
                          : builtin_registry().find(name.substr(0, colon), name.substr(colon + 2));
    check(op != nullptr, "there is no operator '", name, "'");
    return op;
  }

  void skip() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { check(take(c), "expected '", c, "' at \"", rest_, "\""); }
  std::string_view word() {
    skip();
    std::size_t n = 0;
    const auto part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':' || c == '.';
    };
    while (n < rest_.size() && part(rest_[n])) ++n;
    check(n > 0, "expected a name at \"", rest_, "\"");
    const auto w = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return w;
  }

  void argument(PointwiseStep& step) {
    const std::string_view name = word();
    if (take('=')) {
      const AttributeDef* def = attribute_of(*step.op, name);
      check(def != nullptr, step.op->name, " has no attribute '", name, "'");
      check(step.attributes.emplace(std::string(name), value(def->type)).second, "attribute '", name, "' comes twice");
    } else {
      step.in.push_back(name == "_" ? -1 : slot(name));
    }
  }

  int slot(std::string_view name) {
    const bool input = name.starts_with('x');
    check(input || name.starts_with('s'), "expected x0, s0, _ or an attribute, got '", name, "'");
    name.remove_prefix(1);
    const int limit = input ? inputs_ : steps_, i = number<int>(name);
    check(name.empty() && i >= 0 && i < limit, input ? "input x" : "step s", i, " is not among the ", limit,
          input ? " inputs" : " steps before");
    return input ? i : inputs_ + i;
  }

  Attribute value(AttributeType type) {
    skip();
    if (type == AttributeType::integer) return number<std::int64_t>(rest_);
    if (type == AttributeType::real) return number<float>(rest_);
    check(type == AttributeType::text, "attributes of type ", name(type), " cannot be written in a step");
    expect('"');
    const auto end = rest_.find('"');
    check(end != std::string_view::npos, "expected '\"'");
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }

  template <class T>
  static T number(std::string_view& from) {
    T x{};
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), x);
    check(error == std::errc{}, "expected a number at \"", from, "\"");
    from.remove_prefix(static_cast<std::size_t>(end - from.data()));
    return x;
  }

  std::string_view rest_;
  const int inputs_, steps_;
};

}  // namespace

bool can_be_step(const OpDef& op, const Attributes& attributes) {
  if (!op.pointwise || op.random || op.late || op.view || op.prepare || !op.kernel || op.outputs.size() != 1)
    return false;
  if (op.outputs[0].presence != Presence::required || builtin_registry().find(op.domain, op.name) != &op) return false;
  for (const auto& [name, value] : attributes)
    if (!can_be_written(value)) return false;
  return true;
}

std::string to_text(const PointwiseStep& step, int inputs) {
  std::string text = qualified(*step.op) + "(";
  const auto add = [&](const std::string& argument) { text += (text.back() == '(' ? "" : ", ") + argument; };
  for (const int i : step.in) add(i < 0 ? "_" : i < inputs ? concat('x', i) : concat('s', i - inputs));
  for (const auto& [name, value] : step.attributes) add(concat(name, '=', written(value)));
  return text + ")";
}

std::vector<PointwiseStep> parse_steps(std::span<const std::string> texts, int inputs) {
  std::vector<PointwiseStep> steps;
  for (const auto& text : texts) {
    try {
      steps.push_back(StepReader(text, inputs, static_cast<int>(steps.size())).read());
    } catch (Error& e) {
      throw e.in(concat("step \"", text, "\""));
    }
  }
  check(!steps.empty(), "there are no steps");
  return steps;
}

}  // namespace tessera
