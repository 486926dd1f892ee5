#pragma once
// What the library was compiled for. A portable build (TESSERA_ISA=all) has it several times, and the dynamic loader
// has chosen; the definition is written by tools/cmake/core.cmake.
#include <string_view>

namespace tessera {

extern const std::string_view instruction_set;  // the compiler's -march: "native", "x86-64-v3"; empty: its default

}  // namespace tessera
