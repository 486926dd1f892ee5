#include "tests/support/graph_notation.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "runtime/graph/build.h"
#include "runtime/op/example.h"
#include "runtime/tensor/text.h"

namespace tessera {
namespace {

bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':' || c == '.'; }

class Text {
 public:
  explicit Text(std::string_view text) : text_(text) {}

  bool at_end() { return skip(), text_.empty(); }
  bool take(char c) {
    if (at_end() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) { check(take(c), "expected '", c, "' at \"", text_, "\""); }
  // A name or operator; empty where there is none.
  std::string word() {
    skip();
    std::size_t n = 0;
    while (n < text_.size() && in_word(text_[n])) ++n;
    while (n > 0 && text_[n - 1] == ':') --n;
    const std::string found(text_.substr(0, n));
    text_.remove_prefix(n);
    return found;
  }
  bool at_tensor() {
    skip();
    Text ahead = *this;
    const std::string word = ahead.word();
    const std::string type = word.substr(0, word.find_first_of(".:"));
    return (!text_.empty() && std::string_view("0123456789-{").find(text_.front()) != std::string_view::npos) ||
           dtype_from_name(type) != DType::undefined || word == "true" || word == "false" || word == "inf";
  }
  Tensor tensor() { return parse_tensor(text_); }
  // What stands before the ',' or ')' that ends an argument.
  std::string_view argument() {
    skip();
    int depth = 0;
    bool quoted = false;
    std::size_t n = 0;
    for (; n < text_.size(); ++n) {
      const char c = text_[n];
      if (c == '"') quoted = !quoted;
      if (quoted) continue;
      if (depth == 0 && (c == ',' || c == ')')) break;
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
    }
    const auto found = text_.substr(0, n);
    text_.remove_prefix(n);
    return found;
  }
  std::string_view rest() const { return text_; }

 private:
  void skip() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front()))) text_.remove_prefix(1);
  }
  std::string_view text_;
};

using Names = std::map<std::string, ValueId, std::less<>>;

class Reader {
 public:
  Reader(Graph& g, Names names, std::string_view text)
      : build_(g, builtin_registry()), names_(std::move(names)), text_(text) {}

  // The statements; the last computes the outputs.
  void read() {
    while (binding()) text_.expect(';');
    do build_.output(concat("y", build_.graph.outputs.size()), expression());
    while (text_.take(','));
    check(text_.at_end(), "expected the end at \"", text_.rest(), "\"");
  }

 private:
  // "a = call" or "a, b = call", unless the text at hand is something else.
  bool binding() {
    const Text before = text_;
    std::vector<std::string> names;
    do names.push_back(text_.word());
    while (text_.take(','));
    if (names.back().empty() || !text_.take('=')) {
      text_ = before;
      return false;
    }
    const auto values =
        names.size() == 1 ? std::vector{expression()} : call(text_.word(), static_cast<int>(names.size()));
    for (std::size_t i = 0; i < names.size(); ++i)
      check(names_.emplace(names[i], values[i]).second, "'", names[i], "' is defined twice");
    return true;
  }

  ValueId expression() {
    if (text_.at_tensor()) return build_.constant(text_.tensor());
    const std::string_view rest = text_.rest();
    const std::string word = text_.word();
    if (const auto known = names_.find(word); known != names_.end()) return known->second;
    check(!word.empty() && !text_.at_end() && text_.rest().front() == '(', "expected a value at \"", rest, "\"");
    return call(word, 1)[0];
  }

  std::vector<ValueId> call(const std::string& name, int outputs) {
    const OpDef& op = builtin_registry().at(name);
    std::vector<ValueId> in;
    Attributes attributes;
    text_.expect('(');
    for (bool more = !text_.take(')'); more; more = !text_.take(')')) {
      if (!in.empty() || !attributes.empty()) text_.expect(',');
      const Text before = text_;
      const std::string word = text_.word();
      if (word == "_") {
        in.push_back(ValueId::none);
      } else if (!word.empty() && text_.take('=')) {
        attributes.merge(attribute(op, word, text_.argument()));
      } else {
        text_ = before;
        in.push_back(expression());
      }
    }
    if (takes_graph(op))
      for (const auto& [captured, v] : names_) in.push_back(v);
    return build_.nodes(name, std::move(in), std::move(attributes), outputs);
  }

  Attributes attribute(const OpDef& op, const std::string& name, std::string_view value) const {
    if (!value.starts_with('{')) return parse_attributes(op, concat(name, "=", value));
    Graph body;
    GraphBuilder build(body, builtin_registry());
    Names names;
    for (const auto& [captured, v] : names_) {
      SymbolicShape declared;
      for (const auto d : *build_.graph.at(v).shape) declared.push_back({d, {}});
      names.emplace(captured, build.input(captured, build_.dtype(v), std::move(declared)));
    }
    Reader(body, std::move(names), value.substr(1, value.size() - 2)).read();
    return {{name, std::make_shared<const GraphBody>(std::move(body))}};
  }

  GraphBuilder build_;
  Names names_;
  Text text_;
};

bool is_default(const OpDef& op, const std::string& name, const Attribute& a) {
  const auto def =
      std::find_if(op.attributes.begin(), op.attributes.end(), [&](const auto& d) { return d.name == name; });
  if (def == op.attributes.end()) return false;
  const Default& d = def->fallback;
  if (d.kind == Default::Kind::integer) return std::get<std::int64_t>(a) == d.integer;
  if (d.kind == Default::Kind::real) return std::get<float>(a) == d.real;
  return d.kind == Default::Kind::text && std::get<std::string>(a) == d.text;
}

class Writer {
 public:
  explicit Writer(const Graph& g) : g_(g), uses_(g), names_(g.values.size()) {
    for (const auto& i : g.inputs) names_[index(i.value)] = g.at(i.value).name;
  }

  std::string write() {
    for (const auto& n : g_.nodes)
      if (std::none_of(n.out.begin(), n.out.end(), [&](ValueId v) { return v != ValueId::none && uses_.count(v) > 0; }))
        bind(n);
    std::string outputs;
    for (const auto& o : g_.outputs) outputs += (outputs.empty() ? "" : ", ") + operand(o.value);
    return statements_ + outputs;
  }

 private:
  std::string operand(ValueId v) {
    if (v == ValueId::none) return "_";
    std::string& name = names_[index(v)];
    if (!name.empty()) return name;
    const Value& value = g_.at(v);
    if (value.constant) {
      const std::string text = to_text(value.constant, value.constant.size());
      if (uses_.count(v) == 1) return text;
      name = fresh();
      statements_ += concat(name, " = ", text, "; ");
      return name;
    }
    const Node& n = g_.at(value.producer);
    const auto wanted = std::count_if(n.out.begin(), n.out.end(), [](ValueId o) { return o != ValueId::none; });
    if (uses_.count(v) == 1 && wanted == 1) return call(n);
    bind(n);
    return names_[index(v)];
  }

  void bind(const Node& n) {
    const std::string text = call(n);
    std::string names;
    for (const ValueId v : n.out) {
      if (v != ValueId::none) names_[index(v)] = fresh();
      names += (names.empty() ? "" : ", ") + (v == ValueId::none ? "_" : names_[index(v)]);
    }
    statements_ += concat(names, " = ", text, "; ");
  }

  std::string call(const Node& n) {
    std::string arguments;
    const auto add = [&](const std::string& text) { arguments += (arguments.empty() ? "" : ", ") + text; };
    for (const ValueId v : n.in) add(operand(v));
    for (const auto& [name, value] : n.attributes) {
      if (is_default(*n.op, name, value)) continue;
      const auto* body = std::get_if<std::shared_ptr<const Subgraph>>(&value);
      add(concat(name, "=", body ? "{" + notation(static_cast<const GraphBody&>(**body).graph) + "}" : to_text(value)));
    }
    return concat(n.op->domain, n.op->domain.empty() ? "" : "::", n.op->name, "(", arguments, ")");
  }

  std::string fresh() { return concat("v", named_++); }

  const Graph& g_;
  const Uses uses_;
  std::vector<std::string> names_;  // by value; empty: written where it is used
  std::string statements_;
  int named_ = 0;
};

}  // namespace

Graph graph_of(std::string_view inputs, std::string_view text) {
  Graph g;
  GraphBuilder build(g, builtin_registry());
  Names names;
  Text list(inputs);
  while (!list.at_end()) {
    std::vector<std::string> group;
    do group.push_back(list.word());
    while (list.take(','));
    list.expect(':');
    const std::string type = list.word();
    check(dtype_from_name(type) != DType::undefined, "'", type, "' is no element type");
    list.expect('[');
    SymbolicShape shape;
    std::istringstream dims(list.word());
    for (std::int64_t d = 0; dims >> d; dims.ignore(1, 'x')) shape.push_back({d, {}});
    list.expect(']');
    for (const auto& name : group) names.emplace(name, build.input(name, dtype_from_name(type), shape));
    list.take(',');
  }
  Reader(g, std::move(names), text).read();
  return g;
}

std::string notation(const Graph& g) { return Writer(g).write(); }

}  // namespace tessera
