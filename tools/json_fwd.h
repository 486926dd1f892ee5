#pragma once
// The name of tools/json.h's type, without its weight.
#include <nlohmann/json_fwd.hpp>

namespace tessera {

using Json = nlohmann::ordered_json;

}  // namespace tessera
