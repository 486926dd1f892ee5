#include "tests/support/json_schema.h"

#include <regex>

namespace tessera {
namespace {

bool has_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

std::string problem(const Json& value, const Json& schema, const Json& root, const std::string& at) {
  if (schema.contains("$ref"))
    return problem(value, root.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))), root, at);
  if (schema.contains("const") && value != schema["const"]) return at + ": is not " + text_of(schema["const"]);
  if (schema.contains("enum")) {
    bool found = false;
    for (const auto& allowed : schema["enum"]) found = found || value == allowed;
    if (!found) return at + ": is none of " + text_of(schema["enum"]);
  }
  if (schema.contains("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    bool found = false;
    for (const auto& t : types) found = found || has_type(value, t);
    if (!found) return at + ": is " + value.type_name() + ", not " + text_of(types);
  }
  if (value.is_number() && schema.contains("minimum") && value < schema["minimum"])
    return at + ": is below the minimum";
  if (schema.contains("anyOf")) {
    bool found = false;
    for (const auto& one : schema["anyOf"]) found = found || problem(value, one, root, at).empty();
    if (!found) return at + ": fits none of the alternatives";
  }
  if (value.is_string() && schema.contains("pattern") &&
      !std::regex_search(value.get<std::string>(), std::regex(schema["pattern"].get<std::string>())))
    return at + ": does not match " + text_of(schema["pattern"]);
  if (value.is_object()) {
    for (const auto& key : schema.value("required", Json::array()))
      if (!value.contains(key.get<std::string>())) return at + ": lacks " + text_of(key);
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [key, item] : value.items()) {
      if (!properties.contains(key)) {
        if (!schema.contains("additionalProperties")) continue;
        const Json& others = schema["additionalProperties"];
        if (!others.is_object()) return at + ": has an unknown key " + key;
        if (auto p = problem(item, others, root, at + "/" + key); !p.empty()) return p;
        continue;
      }
      if (auto p = problem(item, properties[key], root, at + "/" + key); !p.empty()) return p;
    }
  }
  if (value.is_array() && value.size() < schema.value("minItems", std::size_t{0})) return at + ": is too short";
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      if (auto p = problem(value[i], schema["items"], root, at + "/" + std::to_string(i)); !p.empty()) return p;
  return {};
}

}  // namespace

std::string schema_problem(const Json& value, const Json& schema) { return problem(value, schema, schema, ""); }

}  // namespace tessera
