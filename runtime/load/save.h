#pragma once
// Graph -> file.
#include <string>

#include "runtime/graph/graph.h"

namespace tessera {

struct SaveOptions {
  std::size_t external_above =
      1024;  // tensors of at least so many bytes go to a data file beside the model; 0: none do
};

// Writes `path` (binary, or text for ".textproto") and, where needed, `path`.data. Both are written aside and renamed
// when complete, so a failure leaves what was there. Errors: run_time naming the path and cause.
void save(const Graph& g, const std::string& path, const SaveOptions& options = {});

}  // namespace tessera
