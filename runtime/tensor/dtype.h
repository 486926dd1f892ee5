#pragma once
// Element types. The numbers are those of onnx.TensorProto.DataType, so nothing is ever translated. All 26 are known
// by name; the 13 with a C++ type below can be executed.
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/tensor/half.h"

namespace [[gnu::visibility("default")]] tessera {

enum class DType : std::int32_t {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  complex64 = 14,
  complex128 = 15,
  bf16 = 16,
  f8e4m3fn = 17,
  f8e4m3fnuz = 18,
  f8e5m2 = 19,
  f8e5m2fnuz = 20,
  u4 = 21,
  i4 = 22,
  f4e2m1 = 23,
  f8e8m0 = 24,
  u2 = 25,
  i2 = 26,
};

std::string_view name(DType t);           // "f32", "bool", ...; "undefined" outside 1..26
DType dtype_from_name(std::string_view);  // DType::undefined when there is no such name; accepts "float32", "int64" too
bool known(DType t);                      // one of 1..26
std::size_t size_of(DType t);             // bytes of one element; 0 for types that cannot be executed
inline std::ostream& operator<<(std::ostream& o, DType t) { return o << name(t); }

template <class T>
struct Type {
  using type = T;
};
template <class... Ts>
struct Types {};

using Floats = Types<float, double, f16, bf16>;
using Ints = Types<std::int64_t, std::int32_t, std::int16_t, std::int8_t, std::uint8_t, std::uint16_t, std::uint32_t,
                   std::uint64_t>;
using Indices = Types<std::int64_t, std::int32_t>;
using Signed = Types<float, double, f16, bf16, std::int64_t, std::int32_t, std::int16_t, std::int8_t>;
using Numeric = Types<float, double, f16, bf16, std::int64_t, std::int32_t, std::int16_t, std::int8_t, std::uint8_t,
                      std::uint16_t, std::uint32_t, std::uint64_t>;
using AllTypes = Types<float, double, f16, bf16, std::int64_t, std::int32_t, std::int16_t, std::int8_t, std::uint8_t,
                       std::uint16_t, std::uint32_t, std::uint64_t, bool>;

template <class T>
inline constexpr DType dtype_of = DType::undefined;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<f16> = DType::f16;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::i8;
template <>
inline constexpr DType dtype_of<std::int16_t> = DType::i16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<std::uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<std::uint64_t> = DType::u64;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

// Calls f(Type<T>{}) for the T of the list whose dtype it is; Error(unsupported) otherwise.
template <class... Ts, class F>
void with_type(Types<Ts...>, DType dtype, F&& f) {
  const bool found = ((dtype == dtype_of<Ts> ? (f(Type<Ts>{}), true) : false) || ...);
  check(found, Code::unsupported, "element type ", dtype, " is not supported here");
}

// Data movement is compiled per element width, not per type: calls f(Type<U>{}) with an unsigned U of that many bytes.
template <class F>
void with_width(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 1:
      return f(Type<std::uint8_t>{});
    case 2:
      return f(Type<std::uint16_t>{});
    case 4:
      return f(Type<std::uint32_t>{});
    case 8:
      return f(Type<std::uint64_t>{});
  }
  throw Error(Code::unsupported, concat("element type ", dtype, " cannot be executed"));
}

// A set of element types, for the type constraints of operators.
struct DTypeSet {
  std::uint32_t bits = 0;
  constexpr bool has(DType t) const { return (bits >> static_cast<int>(t)) & 1u; }
  friend constexpr DTypeSet operator|(DTypeSet a, DTypeSet b) { return {a.bits | b.bits}; }
  friend constexpr bool operator==(DTypeSet, DTypeSet) = default;
};
template <class... Ts>
constexpr DTypeSet set_of(Types<Ts...>) {
  return {((1u << static_cast<int>(dtype_of<Ts>)) | ...)};
}
namespace dtypes {
inline constexpr DTypeSet floats = set_of(Floats{});
inline constexpr DTypeSet ints = set_of(Ints{});
inline constexpr DTypeSet indices = set_of(Indices{});
inline constexpr DTypeSet signed_numbers = set_of(Signed{});
inline constexpr DTypeSet numeric = set_of(Numeric{});
inline constexpr DTypeSet boolean = {1u << static_cast<int>(DType::boolean)};
inline constexpr DTypeSet i64 = {1u << static_cast<int>(DType::i64)};
inline constexpr DTypeSet all = set_of(AllTypes{});
}  // namespace dtypes

}  // namespace tessera
