#pragma once
// JSON as the reports use it: keys keep their order.
#include <nlohmann/json.hpp>
#include <string>

#include "tools/json_fwd.h"

namespace tessera {

// Text that is always valid UTF-8, whatever names a model has. indent -1: one line.
inline std::string text_of(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera
