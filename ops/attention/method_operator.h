#pragma once
// The operator tables of one attention method, NAME and NAMEGrad, made when the method is registered.
#include <deque>

#include "ops/attention/method.h"

namespace tessera {

struct MethodTables {
  // Borrows `method`. Errors: plugin for a record that is incomplete or contradicts itself.
  explicit MethodTables(const AttentionMethod& method);
  MethodTables(const MethodTables&) = delete;
  OpDef forward, backward;

 private:
  std::deque<std::string> texts_;  // what the tables point to
};

}  // namespace tessera
