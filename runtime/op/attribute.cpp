#include "runtime/op/attribute.h"

#include <algorithm>

#include "runtime/base/nearest.h"
#include "runtime/tensor/text.h"

namespace tessera {
namespace {

template <class T>
std::string list(const std::vector<T>& items) {
  std::string text = "[";
  for (std::size_t i = 0; i < items.size(); ++i) text += (i ? ", " : "") + concat(items[i]);
  return text + "]";
}

}  // namespace

std::string_view name(AttributeType t) {
  constexpr std::string_view names[] = {"int", "float", "string", "tensor", "ints", "floats", "strings", "graph"};
  return names[static_cast<int>(t)];
}

std::vector<std::string> alternatives(std::string_view text) {
  std::vector<std::string> list;
  if (text.empty()) return list;
  for (auto bar = text.find('|'); bar != std::string_view::npos; bar = text.find('|')) {
    list.emplace_back(text.substr(0, bar));
    text.remove_prefix(bar + 1);
  }
  list.emplace_back(text);
  return list;
}
std::string alternatives_text(std::string_view text) { return either(alternatives(text)); }

std::string to_text(const Attribute& a) {
  struct {
    std::string operator()(std::int64_t v) const { return concat(v); }
    std::string operator()(float v) const { return concat(v); }
    std::string operator()(const std::string& v) const { return "\"" + v + "\""; }
    std::string operator()(const Tensor& v) const { return to_text(v, 8); }
    std::string operator()(const std::vector<std::int64_t>& v) const { return list(v); }
    std::string operator()(const std::vector<float>& v) const { return list(v); }
    std::string operator()(const std::vector<std::string>& v) const { return list(v); }
    std::string operator()(const std::shared_ptr<const Subgraph>&) const { return "{graph}"; }
  } write;
  return std::visit(write, a);
}

bool equal(const Attributes& a, const Attributes& b) {
  if (a.size() != b.size()) return false;
  for (auto x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
    if (x->first != y->first || x->second.index() != y->second.index()) return false;
    const bool same = std::visit(
        [&]<class T>(const T& v) {
          const T& w = std::get<T>(y->second);
          if constexpr (std::is_same_v<T, Tensor>)
            return same_bits(v, w);
          else
            return v == w;
        },
        x->second);
    if (!same) return false;
  }
  return true;
}

template <class T>
const T* AttributeReader::find(std::string_view name) const {
  const auto it = given_->find(name);
  if (it == given_->end()) return nullptr;
  const T* value = std::get_if<T>(&it->second);
  check(value != nullptr, "attribute '", name, "' has the wrong type: ", tessera::name(type_of(it->second)));
  return value;
}

const AttributeDef& AttributeReader::def(std::string_view name) const {
  const auto at = std::ranges::find(table_, name, &AttributeDef::name);
  check(at != table_.end(), Code::internal, "attribute '", name, "' is not in the operator's table");
  return *at;
}

const Default& AttributeReader::fallback(std::string_view name, Default::Kind kind) const {
  const Default& fallback = def(name).fallback;
  check(fallback.kind == kind, "attribute '", name, "' is missing");
  return fallback;
}

std::int64_t AttributeReader::integer(std::string_view name) const {
  const auto* v = find<std::int64_t>(name);
  return v ? *v : fallback(name, Default::Kind::integer).integer;
}
DType AttributeReader::dtype(std::string_view name) const {
  const std::int64_t number = integer(name);
  const auto dtype = static_cast<DType>(number);
  check(static_cast<std::int64_t>(dtype) == number && known(dtype), "attribute '", name, "' is ", number,
        ", which is no element type");
  return dtype;
}
float AttributeReader::real(std::string_view name) const {
  const auto* v = find<float>(name);
  return v ? *v : fallback(name, Default::Kind::real).real;
}
std::string_view AttributeReader::text(std::string_view name) const {
  const auto* v = find<std::string>(name);
  return v ? std::string_view(*v) : fallback(name, Default::Kind::text).text;
}
int AttributeReader::choice(std::string_view name) const {
  const std::string_view word = text(name);
  const auto known = alternatives(def(name).choices);
  const auto at = std::ranges::find(known, word);
  if (at != known.end()) return static_cast<int>(at - known.begin());
  throw Error(Code::bad_input, concat("attribute '", name, "' must be ", either(known), ", got '", word, "'",
                                      did_you_mean(word, known)));
}
std::span<const std::int64_t> AttributeReader::integers(std::string_view name) const {
  const auto* v = find<std::vector<std::int64_t>>(name);
  return v ? std::span<const std::int64_t>(*v) : std::span<const std::int64_t>{};
}
std::span<const float> AttributeReader::reals(std::string_view name) const {
  const auto* v = find<std::vector<float>>(name);
  return v ? std::span<const float>(*v) : std::span<const float>{};
}
std::span<const std::string> AttributeReader::texts(std::string_view name) const {
  const auto* v = find<std::vector<std::string>>(name);
  return v ? std::span<const std::string>(*v) : std::span<const std::string>{};
}
const Tensor& AttributeReader::tensor(std::string_view name) const {
  const auto* v = find<Tensor>(name);
  check(v != nullptr, "attribute '", name, "' is missing");
  return *v;
}
const Subgraph& AttributeReader::graph(std::string_view name) const {
  const auto* v = find<std::shared_ptr<const Subgraph>>(name);
  check(v != nullptr && *v, "attribute '", name, "' is missing");
  return **v;
}

}  // namespace tessera
