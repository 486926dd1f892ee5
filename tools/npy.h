#pragma once
// NumPy's .npy files (numpy/lib/format.py, versions 1.0 to 3.0): a magic, a header that is a Python dict, the elements.
#include <cstddef>
#include <span>
#include <string>

#include "runtime/tensor/tensor.h"

namespace tessera {

// The array as a dense row-major tensor: Fortran order is transposed, big-endian elements are swapped. Errors:
// bad_input for a malformed header or a size that differs from the header's; unsupported for element types that cannot
// be executed (objects, strings, records, complex).
Tensor npy_to_tensor(std::span<const std::byte> file);

// The elements as they lie in memory, which is how the file has them.
std::span<const std::byte> bytes_of(const Tensor& t);

// What stands before the elements in a version 1.0 file, padded so that they start at a multiple of 64 bytes.
// Error(unsupported) for bf16, which NumPy does not have.
std::string npy_header(DType dtype, const Shape& shape);

}  // namespace tessera
