#pragma once
// The operators of the sparse attention methods, for tests.
#include "runtime/op/registry.h"

namespace tessera {

// All operators, tessera.attention::vsa and bsa among them.
const Registry& sparse_registry();

}  // namespace tessera
