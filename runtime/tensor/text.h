#pragma once
// Tensors as short text, for examples, error messages and tests:
//
//   {{1, 2}, {3, 4}}     f32 [2x2]          i64{3, 4}   i64 [2]
//   f64 0.5  or  0.5     rank 0             f32[0x3]{}  empty, shape spelled out
//
// Words inf, -inf, nan, true, false are elements too.
#include <string>
#include <string_view>

#include "runtime/tensor/tensor.h"

namespace tessera {

// Reads one tensor from the front of `text` and removes what it read. `assumed` is the type where none is written.
// Error(bad_input) with the rest of the text when it does not parse.
Tensor parse_tensor(std::string_view& text, DType assumed = DType::f32);
// The whole text must be one tensor.
Tensor tensor_from_text(std::string_view text, DType assumed = DType::f32);

// The form above; beyond `limit` elements only the first and last are printed, with "...".
std::string to_text(const Tensor& t, std::int64_t limit = 64);

}  // namespace tessera
