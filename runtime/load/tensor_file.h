#pragma once
// Single tensors in files as onnx.TensorProto (the .pb of test_data_set_*).
#include <string>

#include "runtime/tensor/tensor.h"

namespace tessera {

struct NamedTensor {
  std::string name;  // may be empty
  Tensor tensor;
};
NamedTensor read_tensor_file(const std::string& path);                       // Errors: bad_input naming the path
void write_tensor_file(const NamedTensor& tensor, const std::string& path);  // aside, then renamed; Errors: run_time

}  // namespace tessera
