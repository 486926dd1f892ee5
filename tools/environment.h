#pragma once
// What a measurement ran on.
#include <string>
#include <string_view>

namespace tessera {

extern const std::string_view build_commit;  // git's name of the source; "unknown" outside a checkout

std::string cpu_name();        // "AMD EPYC 9B45"
std::string isa_name();        // what kernels use: "x86-64-v3"; of a build for this machine "avx512", "avx2", ..
std::size_t peak_rss_bytes();  // most memory this process had resident since its start

}  // namespace tessera
