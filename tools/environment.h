#pragma once
// What a measurement ran on.
#include <string>
#include <string_view>

#include "runtime/base/instruction_set.h"

namespace tessera {

extern const std::string_view build_version;  // "0.1.0"
extern const std::string_view build_commit;   // git's name of the source; "unknown" outside a checkout

std::string cpu_name();  // "AMD EPYC 9B45"
// What kernels use: the -march they were compiled for ("x86-64-v3", "haswell"); "default" where it is empty; of a build
// for this machine "avx512", "avx2", ..
std::string isa_name(std::string_view march = instruction_set);
std::size_t peak_rss_bytes();  // most memory this process had resident since its start

}  // namespace tessera
