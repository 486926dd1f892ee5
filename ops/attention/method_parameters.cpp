#include <algorithm>
#include <charconv>

#include "ops/attention/method.h"

namespace tessera {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

template <class T>
bool read_number(std::string_view text, T& value) {
  text = trimmed(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_integer(std::string_view text, std::int64_t& value) {
  if (trimmed(text) == "true" || trimmed(text) == "false") {
    value = trimmed(text) == "true";
    return true;
  }
  return read_number(text, value);
}

bool read_integers(std::string_view text, std::vector<std::int64_t>& values) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = trimmed(text.substr(1, text.size() - 2));
  while (!text.empty()) {
    const auto comma = text.find(',');
    values.emplace_back();
    if (!read_integer(text.substr(0, comma), values.back())) return false;
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return true;
}

// Text in double quotes, where a backslash stands before a quote or another backslash; or bare.
std::string unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  text = text.substr(1, text.size() - 2);
  std::string bare;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    bare += text[i];
  }
  return bare;
}

std::string bound(double x) {
  return x == std::floor(x) && std::abs(x) < 1e15 ? concat(static_cast<std::int64_t>(x)) : concat(x);
}

// "a number from 0 to 1", "integers >= 1", "true or false", "slot or mean"
std::string expected(const MethodParameter& p) {
  if (p.type == AttributeType::text) return p.choices.empty() ? "a text" : alternatives_text(p.choices);
  if (p.type == AttributeType::integer && p.low == 0 && p.high == 1) return "true (1) or false (0)";
  const std::string_view what = p.type == AttributeType::real      ? "a number"
                                : p.type == AttributeType::integer ? "an integer"
                                                                   : "a list of integers";
  const bool low = std::isfinite(p.low), high = std::isfinite(p.high);
  if (low && high) return concat(what, " from ", bound(p.low), " to ", bound(p.high));
  if (low) return concat(what, " >= ", bound(p.low));
  if (high) return concat(what, " <= ", bound(p.high));
  return std::string(what);
}

bool fits(const MethodParameter& p, const Attribute& value) {
  const auto inside = [&](double x) { return x >= p.low && x <= p.high; };  // NaN is not
  if (p.type == AttributeType::text) {
    const auto* text = std::get_if<std::string>(&value);
    const auto known = alternatives(p.choices);
    return text && (known.empty() || std::ranges::find(known, *text) != known.end());
  }
  if (p.type == AttributeType::integers) {
    const auto* list = std::get_if<std::vector<std::int64_t>>(&value);
    return list && std::all_of(list->begin(), list->end(), [&](auto x) { return inside(static_cast<double>(x)); });
  }
  if (const auto* x = std::get_if<std::int64_t>(&value)) return inside(static_cast<double>(*x));
  const auto* x = std::get_if<float>(&value);
  return p.type == AttributeType::real && x && inside(as_written(*x));
}

const Attribute& value_of(const Attributes& values, std::string_view name) {
  const auto it = values.find(name);
  check(it != values.end(), Code::internal, "parameter '", name, "' has no value");
  return it->second;
}

template <class T>
const T& value_as(const Attributes& values, std::string_view name) {
  const T* value = std::get_if<T>(&value_of(values, name));
  check(value != nullptr, Code::internal, "parameter '", name, "' is read as another type than its schema says");
  return *value;
}

}  // namespace

double as_written(float x) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, x).ptr;
  double exact = static_cast<double>(x);
  std::from_chars(digits, end, exact);
  return exact;
}

void check_parameter(const MethodParameter& p, const Attribute& value) {
  check(fits(p, value), "parameter '", p.name, "' must be ", expected(p), ", got ", to_text(value));
}

Attribute parse_parameter(const MethodParameter& p, std::string_view text) {
  text = trimmed(text);
  Attribute value;
  bool good = false;
  if (p.type == AttributeType::text) {
    value = unquoted(text);
    good = true;
  } else if (p.type == AttributeType::integers) {
    std::vector<std::int64_t> list;
    good = read_integers(text, list);
    value = std::move(list);
  } else if (p.type == AttributeType::integer) {
    std::int64_t x = 0;
    good = read_integer(text, x);
    value = x;
  } else {
    float x = 0;
    good = read_number(text, x);
    value = x;
  }
  check(good, "parameter '", p.name, "' must be ", expected(p), ", got '", text, "'");
  check_parameter(p, value);
  return value;
}

AttributeDef attribute_of(const MethodParameter& p, std::string doc, std::deque<std::string>& texts) {
  AttributeDef def{texts.emplace_back(p.name), p.type, {}, {}, texts.emplace_back(p.choices)};
  if (p.fallback == "required") {
    def.fallback = required;
  } else if (!p.fallback.empty()) {
    const Attribute value = parse_parameter(p, p.fallback);
    if (const auto* i = std::get_if<std::int64_t>(&value)) def.fallback = Default(*i);
    if (const auto* x = std::get_if<float>(&value)) def.fallback = Default(*x);
    if (const auto* s = std::get_if<std::string>(&value)) def.fallback = Default(texts.emplace_back(*s).data());
    if (p.type == AttributeType::integers) doc += "; default " + p.fallback;
  }
  def.doc = texts.emplace_back(std::move(doc));
  return def;
}

MethodParameters::MethodParameters(const std::vector<MethodParameter>& schema, const Attributes& given) {
  for (const auto& p : schema) {
    if (const auto it = given.find(p.name); it != given.end()) {
      check_parameter(p, it->second);
      values_.insert(*it);
      continue;
    }
    check(p.fallback != "required", "parameter '", p.name, "' is missing: it must be ", expected(p));
    if (!p.fallback.empty()) values_.emplace(p.name, parse_parameter(p, p.fallback));
  }
}

double MethodParameters::real(std::string_view name) const {
  const Attribute& value = value_of(values_, name);
  if (const auto* x = std::get_if<std::int64_t>(&value)) return static_cast<double>(*x);
  return as_written(value_as<float>(values_, name));
}

std::int64_t MethodParameters::integer(std::string_view name) const { return value_as<std::int64_t>(values_, name); }

const std::string& MethodParameters::text(std::string_view name) const { return value_as<std::string>(values_, name); }

const std::vector<std::int64_t>& MethodParameters::integers(std::string_view name) const {
  return value_as<std::vector<std::int64_t>>(values_, name);
}

}  // namespace tessera
