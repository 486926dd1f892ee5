#pragma once
// Bytes or text -> protobuf message. Private to load/.
#include <set>
#include <string>

#include "runtime/base/bytes.h"
#include "tessera/onnx.pb.h"

namespace tessera {

// True when the name says that the file is text: ".textproto", ".pbtxt".
bool is_text_proto(const std::string& path);

// Parses the file into `message`, whose large raw_data stay in the file (see wire.h), and returns the fields that the
// schema does not know. Errors: bad_input with the byte, or the line and column.
std::set<std::string> parse_message(const Bytes& file, bool text, google::protobuf::Message& message);

}  // namespace tessera
