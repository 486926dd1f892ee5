#pragma once
// Runs a function with a given number of TBB threads, also more than the machine has cores.
#include <functional>

namespace tessera {

void with_threads(int threads, const std::function<void()>& f);

}  // namespace tessera
