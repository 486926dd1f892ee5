#pragma once
// What an operator says of itself, for `tessera ops` and `tessera plugins info`.
#include <string>

#include "runtime/op/op.h"
#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

std::string domain_name(const OpDef& op);    // "ai.onnx"
std::string gradient_word(const OpDef& op);  // yes, none, missing, by expansion
std::string element_types(const OpDef& op);  // "T: f32 f64; T2: i64"
std::string operator_page(const OpDef& op, Format format);
Json operator_json(const OpDef& op);

}  // namespace tessera
