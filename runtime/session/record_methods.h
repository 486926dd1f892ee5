#pragma once
// What a graph's metadata says of the plugins and attention methods it needs, for files that outlive them.
#include "runtime/graph/graph.h"

namespace tessera {

// Plugins as record_plugins notes them, also those of the methods that by_head calls; and one entry per method with
// parameters, key method_metadata_key(NAME): its version, then name, type, default and range of each parameter:
// "version 1; tile: ints = [4, 4, 4] from 1; sparsity: float from 0 to 1".
void record_methods(Graph& g);

}  // namespace tessera
