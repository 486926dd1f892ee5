#pragma once
// Tensors in files, the format by the name's end: .npy, .npz (an array of it), .pb (onnx.TensorProto).
#include <string>
#include <vector>

#include "runtime/tensor/tensor.h"

namespace tessera {

// From an .npz file the array `name`, or its only one. Errors: bad_input naming the file; unsupported for element types
// that cannot be executed.
Tensor read_tensor(const std::string& path, const std::string& name);

// Refuses now what writing tensors of these types would refuse after a long run: an unknown ending, a type the format
// does not have. WrittenFiles::claim tries the place.
void check_format(const std::string& path, const std::vector<DType>& dtypes);
// Written aside, then renamed. `name` is kept where the format has names.
void write_tensor(const std::string& path, const std::string& name, const Tensor& tensor);

}  // namespace tessera
