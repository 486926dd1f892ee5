#include "tools/generate/model_writer.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include "tools/random.h"

namespace tessera {
namespace {

// Protocol-buffer wire format: a key (field << 3 | kind), then a varint (0), 4 bytes (5) or a length and bytes (2).
std::string varint(std::uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out + static_cast<char>(n);
}
std::string number(int field, std::int64_t n) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(static_cast<std::uint64_t>(n));
}
std::string bytes(int field, std::string_view text) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(text.size()) + std::string(text);
}
std::string real(int field, float x) {
  std::string out = varint(static_cast<std::uint64_t>(field) << 3 | 5);
  const auto bits = std::bit_cast<std::uint32_t>(x);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i) & 0xff);
  return out;
}

std::string tensor_head(const std::string& name, DType dtype, const Shape& shape) {
  std::string out;
  for (const auto d : shape) out += number(1, d);
  return out + number(2, static_cast<int>(dtype)) + bytes(8, name);
}

std::string value_info(const std::string& name, DType dtype, const Shape& shape) {
  std::string dims;
  for (const auto d : shape) dims += bytes(1, number(1, d));
  return bytes(1, name) + bytes(2, bytes(1, number(1, static_cast<int>(dtype)) + bytes(2, dims)));
}

std::string attribute(const std::string& name, const Attribute& value) {
  std::string out = bytes(1, name);
  if (const auto* i = std::get_if<std::int64_t>(&value)) return out + number(3, *i) + number(20, 2);
  if (const auto* f = std::get_if<float>(&value)) return out + real(2, *f) + number(20, 1);
  if (const auto* s = std::get_if<std::string>(&value)) return out + bytes(4, *s) + number(20, 3);
  const auto* list = std::get_if<std::vector<std::int64_t>>(&value);
  check(list != nullptr, Code::internal, "attribute '", name, "' has a type that is not written here");
  for (const auto i : *list) out += number(8, i);
  return out + number(20, 7);
}

constexpr std::uint64_t small = 1024,
                        large = 65536;  // inline below; at whole pages from `large` on, else at cache lines

}  // namespace

ModelWriter::ModelWriter(const std::string& path, int opset)
    : path_(path), opset_(opset), model_(path), data_(path + ".data") {}

std::string ModelWriter::input(const std::string& name, DType dtype, const Shape& shape) {
  inputs_ += bytes(11, value_info(name, dtype, shape));
  return name;
}

void ModelWriter::output(const std::string& value, DType dtype, const Shape& shape) {
  outputs_ += bytes(12, value_info(value, dtype, shape));
}

void ModelWriter::add(const std::string& op, const std::vector<std::string>& in, const Attributes& attributes,
                      const std::string& name, const std::vector<std::string>& out) {
  std::string text;
  for (const auto& i : in) text += bytes(1, i);
  for (const auto& o : out) text += bytes(2, o);
  text += bytes(3, name) + bytes(4, op);
  for (const auto& [key, value] : attributes) text += bytes(5, attribute(key, value));
  graph_ += bytes(1, text);
  ++node_count_;
}

std::string ModelWriter::external(const std::string& name, DType dtype, const Shape& shape, std::uint64_t size) {
  data_.pad_to(size >= large ? 4096 : 64);
  std::string text = tensor_head(name, dtype, shape);
  const std::string location = std::filesystem::path(path_ + ".data").filename().string();
  const std::pair<const char*, std::string> entries[] = {
      {"location", location}, {"offset", concat(data_.size())}, {"length", concat(size)}};
  for (const auto& [key, value] : entries) text += bytes(13, bytes(1, key) + bytes(2, value));
  initializers_ += bytes(5, text + number(14, 1));
  return name;
}

std::string ModelWriter::constant(const std::string& name, const Tensor& value) {
  if (!written_.emplace(name, true).second) return name;
  const std::string raw(static_cast<const char*>(value.raw()), value.bytes());
  if (raw.size() < small) {
    initializers_ += bytes(5, tensor_head(name, value.dtype(), value.shape()) + bytes(9, raw));
    return name;
  }
  external(name, value.dtype(), value.shape(), raw.size());
  data_.write(raw);
  return name;
}

std::string ModelWriter::normal(const std::string& name, const Shape& shape, double mean, double deviation,
                                std::uint64_t seed) {
  const auto count = static_cast<std::uint64_t>(element_count(shape));
  external(name, DType::f32, shape, count * sizeof(float));
  std::vector<float> piece;
  constexpr std::uint64_t pieces = std::uint64_t{1} << 20;
  for (std::uint64_t done = 0; done < count; done += piece.size()) {
    piece.resize(std::min(pieces, count - done));
    fill_normal(piece, seed, done);
    for (float& x : piece) x = static_cast<float>(mean + deviation * static_cast<double>(x));
    data_.write(std::as_bytes(std::span<const float>(piece)));
  }
  parameters_ += static_cast<std::int64_t>(count);
  return name;
}

void ModelWriter::finish() {
  const std::string graph = graph_ + bytes(2, "main") + initializers_ + inputs_ + outputs_;
  model_.write(number(1, opset_ >= 23 ? 11 : 8) + bytes(2, "tessera generate") +
               bytes(8, bytes(1, "") + number(2, opset_)));
  model_.write(bytes(7, graph));
  data_.commit();
  model_.commit();
}

}  // namespace tessera
