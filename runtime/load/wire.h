#pragma once
// The protobuf wire format of a model, walked before protobuf sees it. Private to load/.
//
// Large raw_data is left where it lies in the mapped file: the walk cuts it out and leaves its offset and size in the
// private fields mapped_offset and mapped_size, so what protobuf copies stays small and a file may exceed its 2 GB.
// The walk also bounds depth and the number of messages, and names what is malformed, which protobuf does not.
#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace google::protobuf {
class Descriptor;
}

namespace tessera {

struct WalkedMessage {
  std::optional<std::string> shortened;  // nothing: the file holds no large raw_data, parse it as it is
  std::set<std::string> unknown;         // fields that the schema does not know, "NodeProto.17"
};

// Errors: bad_input with the byte and the field.
WalkedMessage walk_message(std::span<const std::byte> file, const google::protobuf::Descriptor& type);

}  // namespace tessera
