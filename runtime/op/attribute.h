#pragma once
// Attributes of a node: names and values as in onnx.AttributeProto.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/tensor/tensor.h"

namespace tessera {

// A graph held by an attribute (the branches of If), seen from an operator. graph/ implements it.
class Subgraph {
 public:
  virtual ~Subgraph() = default;
  virtual std::size_t input_count() const = 0;
  virtual std::vector<DType> output_dtypes() const = 0;
};

using Attribute = std::variant<std::int64_t, float, std::string, Tensor, std::vector<std::int64_t>, std::vector<float>,
                               std::vector<std::string>, std::shared_ptr<const Subgraph>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

// The kinds of value, in the order of the variant's alternatives.
enum class AttributeType { integer, real, text, tensor, integers, reals, texts, graph };
std::string_view name(AttributeType t);  // "int", "float", "string", "tensor", "ints", ...
inline AttributeType type_of(const Attribute& a) { return static_cast<AttributeType>(a.index()); }

std::string to_text(const Attribute& a);           // "1", "0.5", "\"SAME_UPPER\"", "[1, 0]", "f32{1, 2}", "{graph}"
bool equal(const Attributes&, const Attributes&);  // tensors by their bits, graphs by identity

// What an operator's table says of one attribute.
struct Default {
  enum class Kind { absent, required, integer, real, text } kind = Kind::absent;
  std::int64_t integer = 0;
  float real = 0;
  std::string_view text{};
  constexpr Default() = default;  // optional, no default: `has` tells
  constexpr Default(int v) : kind(Kind::integer), integer(v) {}
  constexpr Default(std::int64_t v) : kind(Kind::integer), integer(v) {}
  constexpr Default(float v) : kind(Kind::real), real(v) {}
  constexpr Default(const char* v) : kind(Kind::text), text(v) {}
  constexpr explicit Default(Kind k) : kind(k) {}
};
inline constexpr Default required{Default::Kind::required};

struct AttributeDef {
  std::string_view name;
  AttributeType type = AttributeType::integer;
  Default fallback{};
  std::string_view doc{};
  std::string_view choices{};  // of a text: "DCR|CRD"; empty: any
};
// "a|b|c" taken apart ("" is none), and in words: "a, b or c".
std::vector<std::string> alternatives(std::string_view text);
std::string alternatives_text(std::string_view text);

// Reads a node's attributes, with the defaults of its operator's table. Borrowed: valid while both live.
class AttributeReader {
 public:
  AttributeReader(std::span<const AttributeDef> table, const Attributes& given) : table_(table), given_(&given) {}
  bool has(std::string_view name) const { return given_->find(name) != given_->end(); }
  std::int64_t integer(std::string_view name) const;
  bool flag(std::string_view name) const { return integer(name) != 0; }
  DType dtype(std::string_view name) const;  // an onnx.TensorProto.DataType; Error(bad_input) where it is none
  float real(std::string_view name) const;
  std::string_view text(std::string_view name) const;
  int choice(std::string_view name) const;  // the place of the text in the table's choices; Error(bad_input): not there
  std::span<const std::int64_t> integers(std::string_view name) const;  // empty when absent
  std::span<const float> reals(std::string_view name) const;            // empty when absent
  std::span<const std::string> texts(std::string_view name) const;      // empty when absent
  const Tensor& tensor(std::string_view name) const;                    // must be given
  const Subgraph& graph(std::string_view name) const;                   // must be given
  const Attributes& all() const { return *given_; }

 private:
  template <class T>
  const T* find(std::string_view name) const;
  const AttributeDef& def(std::string_view name) const;
  const Default& fallback(std::string_view name, Default::Kind kind) const;
  std::span<const AttributeDef> table_;
  const Attributes* given_;
};

}  // namespace tessera
