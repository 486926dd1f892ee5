#pragma once
// Tensors and models in a line or a table row.
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/session/session.h"
#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

// Of the elements that are numbers; NaN for an empty tensor.
struct Extent {
  double min, max, mean;
  std::int64_t nan;
};
Extent extent_of(const Tensor& t);

// Elements of floating-point constants.
std::int64_t parameter_count(const Graph& g);
std::size_t constant_bytes(const Graph& g);

std::string model_line(const std::string& path, const Graph& g);

// Columns name, type, shape, min, max, mean, nan; in the order of `ports`, those absent from `values` left out.
Table values_table(const std::vector<PortInfo>& ports, const NamedTensors& values);
Json values_json(const std::vector<PortInfo>& ports, const NamedTensors& values);

}  // namespace tessera
