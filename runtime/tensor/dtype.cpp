#include "runtime/tensor/dtype.h"

#include <array>

namespace tessera {
namespace {

struct Row {
  std::string_view name, other;  // ours; numpy's
  std::size_t bytes;             // 0: cannot be executed
};
constexpr std::array<Row, 27> rows = {{
    {"undefined", "", 0},  {"f32", "float32", 4},   {"u8", "uint8", 1},   {"i8", "int8", 1},     {"u16", "uint16", 2},
    {"i16", "int16", 2},   {"i32", "int32", 4},     {"i64", "int64", 8},  {"string", "str", 0},  {"bool", "boolean", 1},
    {"f16", "float16", 2}, {"f64", "float64", 8},   {"u32", "uint32", 4}, {"u64", "uint64", 8},  {"complex64", "", 0},
    {"complex128", "", 0}, {"bf16", "bfloat16", 2}, {"f8e4m3fn", "", 0},  {"f8e4m3fnuz", "", 0}, {"f8e5m2", "", 0},
    {"f8e5m2fnuz", "", 0}, {"u4", "uint4", 0},      {"i4", "int4", 0},    {"f4e2m1", "", 0},     {"f8e8m0", "", 0},
    {"u2", "uint2", 0},    {"i2", "int2", 0},
}};

}  // namespace

bool known(DType t) { return static_cast<int>(t) >= 1 && static_cast<int>(t) <= 26; }
std::string_view name(DType t) { return known(t) ? rows[static_cast<std::size_t>(t)].name : rows[0].name; }
std::size_t size_of(DType t) { return known(t) ? rows[static_cast<std::size_t>(t)].bytes : 0; }
DType dtype_from_name(std::string_view text) {
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (text == rows[i].name || (!rows[i].other.empty() && text == rows[i].other)) return static_cast<DType>(i);
  return DType::undefined;
}

}  // namespace tessera
