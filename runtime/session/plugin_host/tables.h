#pragma once
// What a plugin's tables say, checked and translated to the runtime's own words.
#include <tessera/plugin.h>

#include <string>
#include <string_view>
#include <vector>

#include "ops/attention/method.h"

namespace tessera {

// Refuses tables that are incomplete: names, documentation, source, functions, names that come twice.
// Errors: plugin, naming the entry and the field.
void check_tables(const tsr_plugin& plugin);

// Attributes or parameters. Errors: plugin, for a fallback that does not fit type, range or choices.
std::vector<MethodParameter> parameters_of(const tsr_parameter* list, std::uint32_t count);

// "f32|f64". Errors: plugin, naming the element type that cannot be executed.
DTypeSet types_of(std::string_view text);

// Examples as they are, none of them null.
std::vector<std::string_view> examples_of(const char* const* list, std::uint32_t count);

// "" is ai.onnx.
inline std::string_view domain_of(const tsr_op& op) {
  return std::string_view(op.domain) == "ai.onnx" ? std::string_view() : op.domain;
}

// "input 'X'", for messages.
inline std::string port_label(bool input, const tsr_port& port) {
  return concat(input ? "input '" : "output '", port.name, "'");
}

}  // namespace tessera
