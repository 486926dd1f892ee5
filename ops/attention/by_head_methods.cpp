#include "ops/attention/by_head.h"
#include "runtime/base/nearest.h"

namespace tessera::by_head {
namespace {

const AttentionMethod& method_named(std::string_view name) {
  if (const auto* method = find_method(name)) return *method;
  std::vector<std::string> known;
  for (const auto* m : all_methods()) known.push_back(m->name);
  throw Error(Code::unsupported, concat("no attention method '", name, "'", did_you_mean(name, known)));
}

const MethodParameter& parameter_named(const AttentionMethod& method, std::string_view name) {
  std::vector<std::string> known;
  for (const auto& p : method.parameters) {
    if (p.name == name) return p;
    known.push_back(p.name);
  }
  throw Error(Code::bad_input, concat("'", method.name, "' has no parameter '", name, "'", did_you_mean(name, known)));
}

// Cuts off the text up to `end`, and the blanks behind it.
std::string_view take(std::string_view& text, std::size_t end) {
  const auto head = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), head.size()));
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
  return head;
}

// Where the value that the text begins with ends: behind the bracket or the quote that closes it, or at a blank.
std::size_t value_end(std::string_view text) {
  if (text.starts_with('[') && text.find(']') != std::string_view::npos) return text.find(']') + 1;
  if (!text.starts_with('"')) return text.find(' ');
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  throw Error(Code::bad_input, concat("the text ", text, " lacks the quote that closes it"));
}

}  // namespace

MethodChoice parse_method(std::string_view text) {
  const std::string_view whole = text;
  take(text, 0);
  MethodChoice choice{&method_named(take(text, text.find(' '))), {}};
  while (!text.empty()) {
    const auto equals = text.find('=');
    check(equals != std::string_view::npos, "'", whole, "': parameters are written name=value");
    const auto& parameter = parameter_named(*choice.method, take(text, equals));
    text.remove_prefix(1);
    const auto value = take(text, value_end(text));
    const bool fresh = choice.parameters.emplace(parameter.name, parse_parameter(parameter, value)).second;
    check(fresh, "'", whole, "': parameter '", parameter.name, "' twice");
  }
  return choice;
}

std::shared_ptr<const AttentionNode> node_of(const AttributeReader& attr, AttentionGeometry geometry,
                                             const std::function<bool(int)>& has) {
  const AttentionShape s = geometry.shape;
  const auto texts = attr.texts("methods");
  const auto of_head = attr.integers("head_method");
  check(std::ssize(of_head) == s.q_heads, "head_method has ", of_head.size(), " entries for ", s.q_heads, " heads");
  for (const auto m : of_head)
    check(m >= 0 && m < std::ssize(texts), "head_method ", m, " is none of the ", texts.size(), " methods");
  auto node = std::make_shared<AttentionNode>("by_head", std::move(geometry), ports, has);
  for (std::size_t m = 0; m < texts.size(); ++m) {
    const MethodChoice choice = parse_method(texts[m]);
    check(choice.method->inputs.empty(), "'", choice.method->name,
          "' has inputs of its own and cannot stand in by_head");
    std::vector<std::int64_t> heads;
    for (std::size_t h = 0; h < of_head.size(); ++h)
      if (of_head[h] == static_cast<std::int64_t>(m)) heads.push_back(static_cast<std::int64_t>(h));
    for (const HeadRun& run : head_runs(heads, s.group()))
      node->add(run, *choice.method, attr.integers("grid"), choice.parameters);
  }
  return node;
}

std::shared_ptr<const AttentionNode> node_of(const ShapeContext& c) {
  return node_of(c.attr, attention_geometry(c), [&](int i) { return c.has(i); });
}

std::shared_ptr<const void> prepare(const PrepareContext& p) {
  return node_of(p.attr, attention_geometry(p), [&](int i) { return has_input(p, i); });
}

double flops(const ShapeContext& c) { return node_of(c)->flops(c.has(MethodPorts::first_own)); }

}  // namespace tessera::by_head
