#pragma once
// What a loop that the calling thread starts would use: to divide work by, or to lend these threads to somebody else.
#include "runtime/op/parallel.h"

namespace tessera {

// Threads of a run_parallel started here: those of the calling task's arena, 1 where loops are serial.
int loop_threads();

// The control in force on the calling thread.
LoopControl current_loops();

}  // namespace tessera
