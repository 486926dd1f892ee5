#pragma once
// The .npy files of the example graphs: little-endian f32, C order.
#include <string>

#include "runtime/tensor/tensor.h"

namespace tessera {

Tensor read_npy(const std::string& path);  // Error(bad_input) for anything else

}  // namespace tessera
