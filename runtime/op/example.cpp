#include "runtime/op/example.h"

#include <cctype>
#include <charconv>

#include "runtime/tensor/text.h"

namespace tessera {
namespace {

class ExampleReader {
 public:
  ExampleReader(const OpDef& op, std::string_view text) : op_(op), text_(text) {}

  Example read() {
    Example e;
    while (!take("->")) {
      if (take("_"))
        e.in.emplace_back();
      else if (const auto name = attribute_name(); !name.empty())
        e.attributes.emplace(std::string(name), attribute(name));
      else
        e.in.push_back(parse_tensor(text_));
      take(";");
    }
    while (skip(), !text_.empty()) {
      if (take("_"))
        e.out.emplace_back();
      else
        e.out.push_back(parse_tensor(text_));
      take(";");
    }
    check(!e.out.empty(), "an example without an output");
    return e;
  }

  Attributes read_attributes() {
    Attributes attributes;
    while (skip(), !text_.empty()) {
      const auto name = attribute_name();
      check(!name.empty(), "expected NAME=VALUE at \"", text_, "\"");
      attributes.emplace(std::string(name), attribute(name));
      take(";");
    }
    return attributes;
  }

 private:
  void skip() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front()))) text_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) { check(take(token), "expected '", token, "' at \"", text_, "\""); }

  // "axis=" -> "axis"; nothing when what follows is no attribute.
  std::string_view attribute_name() {
    skip();
    std::size_t n = 0;
    while (n < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[n])) || text_[n] == '_')) ++n;
    if (n == 0 || n >= text_.size() || text_[n] != '=') return {};
    const auto name = text_.substr(0, n);
    text_.remove_prefix(n + 1);
    return name;
  }

  template <class T>
  T number() {
    skip();
    T value{};
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    check(error == std::errc{}, "expected a number at \"", text_, "\"");
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }
  std::string quoted() {
    expect("\"");
    const auto end = text_.find('"');
    check(end != std::string_view::npos, "expected '\"'");
    const std::string value(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return value;
  }
  template <class F>
  auto list(F item) {
    std::vector<decltype(item())> items;
    expect("[");
    while (!take("]")) {
      items.push_back(item());
      take(",");
    }
    return items;
  }

  Attribute attribute(std::string_view name) {
    for (const auto& def : op_.attributes) {
      if (def.name != name) continue;
      switch (def.type) {
        case AttributeType::integer:
          return number<std::int64_t>();
        case AttributeType::real:
          return number<float>();
        case AttributeType::text:
          return quoted();
        case AttributeType::tensor:
          return parse_tensor(text_);
        case AttributeType::integers:
          return list([&] { return number<std::int64_t>(); });
        case AttributeType::reals:
          return list([&] { return number<float>(); });
        case AttributeType::texts:
          return list([&] { return quoted(); });
        case AttributeType::graph:
          break;
      }
      throw Error(Code::internal, concat("attribute '", name, "' cannot be written in an example"));
    }
    throw Error(Code::internal, concat("no attribute '", name, "' in the table"));
  }

  const OpDef& op_;
  std::string_view text_;
};

}  // namespace

Example parse_example(const OpDef& op, std::string_view text) try {
  return ExampleReader(op, text).read();
} catch (const Error& e) {
  throw Error(Code::internal, concat(op.name, ": example \"", text, "\": ", e.message()));
}

Attributes parse_attributes(const OpDef& op, std::string_view text) try {
  return ExampleReader(op, text).read_attributes();
} catch (const Error& e) {
  throw Error(Code::internal, concat(op.name, ": attributes \"", text, "\": ", e.message()));
}

}  // namespace tessera
