#pragma once
// The operators that tests of operators run through: the built-in ones, and those of the plugins of this tree.
#include "runtime/op/registry.h"

namespace tessera {

const Registry& full_registry();

}  // namespace tessera
