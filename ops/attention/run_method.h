#pragma once
// Runs a planned method on tensors where they lie: the composition of selection, kernel and gate, or a full method's
// own functions, or dense attention. Operators of methods and by_head go through here. Thread rule and determinism as
// in kernel.h.
#include "ops/attention/selection.h"

namespace tessera {

// The choices of a selector for q and k of these tensors.
Selection select(const PlannedMethod& planned, const MethodTensors& tensors);

// Writes y and lse. `selection`: of a selector; null for other methods.
void run_forward(const PlannedMethod& planned, const MethodTensors& tensors, const Selection* selection);

// Writes dq, dk, dv and the gradients of the method's own inputs. Errors: unsupported when the method has none.
void run_backward(const PlannedMethod& planned, const MethodTensors& tensors, const Selection* selection);

// Kept pairs / all pairs per batch entry and query head: [batch][q_heads]; of a method that does not say, 1.
std::vector<float> densities(const PlannedMethod& planned, const Selection* selection);

}  // namespace tessera
