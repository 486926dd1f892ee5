#pragma once
// Attention methods of plugins as records of ops/attention/method.h.
#include <tessera/plugin.h>

#include <deque>
#include <memory>
#include <string>

#include "ops/attention/method.h"

namespace tessera {

// What AttentionMethod::user points to. Lives as long as the process.
struct AdoptedMethod {
  const tsr_method* table = nullptr;
  std::string frame;  // "plugin 'vsa' (/path/vsa.so)", for errors
};

// The record; the table must have passed check_tables, `adopted` must outlive it. Errors: plugin.
std::unique_ptr<const AttentionMethod> adopt(AdoptedMethod& adopted, const tsr_method& table, const tsr_plugin& plugin,
                                             const std::string& frame);

}  // namespace tessera
