#pragma once
// JSON as the reports use it: keys keep their order.
#include <nlohmann/json.hpp>
#include <string>

#include "tools/json_fwd.h"

namespace tessera {

// In a file of their own: the library's writer and parser are up to a fifth of what a file takes to compile that uses
// them.

// Text that is always valid UTF-8, whatever names a model has. indent -1: one line.
std::string text_of(const Json& value, int indent = -1);

// Error(bad_input) where the text is no JSON.
Json parse_json(const std::string& text);

}  // namespace tessera
