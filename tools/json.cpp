#include "tools/json.h"

#include "runtime/base/error.h"

namespace tessera {

std::string text_of(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  check(!value.is_discarded(), "'", text.substr(0, 40), "'... is no JSON");
  return value;
}

}  // namespace tessera
