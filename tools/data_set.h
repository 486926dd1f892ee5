#pragma once
// A folder of stored inputs and outputs, as the ONNX backend tests have them: input_0.pb, output_0.pb, ...
#include <map>
#include <string>
#include <vector>

#include "runtime/load/tensor_file.h"

namespace tessera {

// Reads PREFIX_0.pb, PREFIX_1.pb, ... of `folder`, as many as there are. Error(bad_input) when a number is left out.
std::vector<NamedTensor> read_numbered(const std::string& folder, const std::string& prefix);

// The folders test_data_set_* below `folder`, in the order of their numbers.
std::vector<std::string> data_sets(const std::string& folder);

// Joins tensors and names: a tensor whose own name is one of `names` gets that; the others get the rest of the names in
// order. Error(bad_input) when there are more tensors than names or two of one name.
std::map<std::string, Tensor> paired(const std::vector<NamedTensor>& tensors, const std::vector<std::string>& names);

}  // namespace tessera
