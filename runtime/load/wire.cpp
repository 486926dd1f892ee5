#include "runtime/load/wire.h"

#include <google/protobuf/descriptor.h>

#include <string_view>

#include "runtime/base/error.h"
#include "tessera/onnx.pb.h"

namespace tessera {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr std::size_t cut_above = 1024;    // bytes of raw_data that are left in the file
constexpr int depth_limit = 100;           // of messages in messages, as in protobuf: 33 graphs in graphs
constexpr int message_limit = 10'000'000;  // an empty message takes 2 bytes in the file and 100 in memory

enum Wire : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

Wire wire_of(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_FLOAT:
      return fixed32;
    case FieldDescriptor::TYPE_DOUBLE:
      return fixed64;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return bytes;
    default:
      return varint;
  }
}

void append_varint(std::string& out, std::uint64_t x) {
  for (; x > 127; x >>= 7) out.push_back(static_cast<char>(x | 128));
  out.push_back(static_cast<char>(x));
}

class Walk {
 public:
  explicit Walk(std::span<const std::byte> file) : file_(file) {}

  // The message in [begin, end) without its large raw_data; nothing when there is none.
  std::optional<std::string> message(const Descriptor& type, std::size_t begin, std::size_t end, int depth) {
    check(depth <= depth_limit, "byte ", begin, ": messages are nested deeper than ", depth_limit,
          " (about 33 graphs in graphs)");
    check(++messages_ <= message_limit, "more than ", message_limit, " messages in one file");
    std::optional<std::string> out;
    std::size_t copied = begin;
    const auto replace = [&](std::size_t from, std::size_t to, const std::string& by) {
      if (!out) out.emplace();
      out->append(text(copied, from)).append(by);
      copied = to;
    };
    for (std::size_t at = begin; at < end;) {
      const std::size_t start = at;
      const auto [number, wire] = tag(type, at, end);
      const FieldDescriptor* field = type.FindFieldByNumber(number);
      check(number < onnx::TensorProto::kMappedOffsetFieldNumber || !field, "byte ", start, ": ", type.name(),
            " uses field ", number, ", which is private");
      if (!field) unknown.insert(concat(type.name(), ".", number));
      check(!field || wire == wire_of(*field) || (wire == bytes && field->is_packable()), "byte ", start, ": field '",
            field ? field->name() : "", "' of ", type.name(), " has the wrong wire type ", wire);
      const std::size_t size = payload(type, field, wire, at, end);
      if (field && field->message_type()) {
        const auto inner = message(*field->message_type(), at, at + size, depth + 1);
        if (inner) replace(start, at + size, tagged(number, *inner));
      } else if (size >= cut_above && field && field->full_name() == "tessera.onnx.TensorProto.raw_data") {
        replace(start, at + size, mapped(at, size));
      }
      at += size;
    }
    if (out) out->append(text(copied, end));
    return out;
  }

  std::set<std::string> unknown;

 private:
  std::string_view text(std::size_t begin, std::size_t end) const {
    return {reinterpret_cast<const char*>(file_.data()) + begin, end - begin};
  }

  static std::string tagged(int number, const std::string& message) {
    std::string out;
    append_varint(out, static_cast<std::uint64_t>(number) << 3 | bytes);
    append_varint(out, message.size());
    return out + message;
  }
  static std::string mapped(std::size_t offset, std::size_t size) {
    std::string out;
    append_varint(out, std::uint64_t{onnx::TensorProto::kMappedOffsetFieldNumber} << 3 | varint);
    append_varint(out, offset);
    append_varint(out, std::uint64_t{onnx::TensorProto::kMappedSizeFieldNumber} << 3 | varint);
    append_varint(out, size);
    return out;
  }

  std::uint64_t read_varint(const Descriptor& type, std::size_t& at, std::size_t end) const {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      check(at < end, "byte ", at, ": ", type.name(), " ends inside a number");
      const auto byte = std::to_integer<std::uint64_t>(file_[at++]);
      value |= shift < 64 ? (byte & 127) << shift : 0;
      if (byte < 128) return value;
    }
    throw Error(Code::bad_input, concat("byte ", at, ": a number in ", type.name(), " has more than 10 bytes"));
  }

  struct Tag {
    int number;
    unsigned wire;
  };
  Tag tag(const Descriptor& type, std::size_t& at, std::size_t end) const {
    const std::size_t start = at;
    const std::uint64_t key = read_varint(type, at, end);
    const std::uint64_t number = key >> 3;
    check(number > 0 && number < (1u << 29), "byte ", start, ": ", type.name(), " has a field numbered ", number);
    return {static_cast<int>(number), static_cast<unsigned>(key & 7)};
  }

  // Bytes of the field's value; `at` moves past its length.
  std::size_t payload(const Descriptor& type, const FieldDescriptor* field, unsigned wire, std::size_t& at,
                      std::size_t end) const {
    const std::size_t start = at;
    std::uint64_t size = 0;
    if (wire == varint) {
      std::size_t past = at;
      read_varint(type, past, end);
      size = past - at;
    } else if (wire == fixed64 || wire == fixed32) {
      size = wire == fixed64 ? 8 : 4;
    } else {
      check(wire == bytes, "byte ", start, ": ", type.name(), " has a field of wire type ", wire);
      size = read_varint(type, at, end);
    }
    check(size <= end - at, "byte ", start, ": ", field ? field->name() : "a field", " of ", type.name(), " has ", size,
          " bytes but only ", end - at, " are left");
    return static_cast<std::size_t>(size);
  }

  std::span<const std::byte> file_;
  int messages_ = 0;
};

}  // namespace

WalkedMessage walk_message(std::span<const std::byte> file, const Descriptor& type) {
  Walk walk(file);
  auto shortened = walk.message(type, 0, file.size(), 1);
  return {std::move(shortened), std::move(walk.unknown)};
}

}  // namespace tessera
