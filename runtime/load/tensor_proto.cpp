#include "runtime/load/tensor_proto.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace tessera {
namespace {

using onnx::TensorProto;

constexpr int rank_limit = 64;  // numpy's too; shape rules are not made for thousands

// Where elements lie before they become a tensor.
struct Span {
  const std::byte* data;
  std::size_t size;
  std::shared_ptr<const void> owner;  // null: copy
};

Tensor from_bytes(DType dtype, Shape shape, const Span& from) {
  const auto need = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  check(from.size == need, "has ", from.size, " bytes of data but ", dtype, " ", shape, " takes ", need);
  const bool aligned = reinterpret_cast<std::uintptr_t>(from.data) % size_of(dtype) == 0;
  const bool sound = dtype != DType::boolean || std::all_of(from.data, from.data + from.size,
                                                            [](std::byte b) { return std::to_integer<int>(b) <= 1; });
  if (from.owner && aligned && sound && need > 0) return Tensor::alias(dtype, std::move(shape), from.data, from.owner);
  Tensor t(dtype, std::move(shape));
  if (dtype == DType::boolean) {
    std::transform(from.data, from.data + from.size, t.write<bool>().begin(),
                   [](std::byte b) { return b != std::byte{}; });
  } else if (need > 0) {
    std::memcpy(t.raw(), from.data, need);
  }
  if (from.owner) release_pages({from.data, from.size});  // not counted twice
  return t;
}

// A decimal number without sign, as external data writes its offset and length.
std::uint64_t parse_size(const std::string& key, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "external data has the ", key, " '",
        text.substr(0, 40), "', which is no size");
  return value;
}

Span external_span(const TensorProto& proto, DataFiles& files, std::size_t need) {
  check(!proto.has_raw_data() && !proto.has_mapped_size(), "has both raw and external data");
  std::optional<std::string> location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") {
      check(!location, "external data has two locations");
      location = entry.value();
    }
    if (entry.key() == "offset") offset = parse_size("offset", entry.value());
    if (entry.key() == "length") length = parse_size("length", entry.value());
  }
  check(location.has_value(), "external data has no location");
  const Bytes& file = files.at(*location);
  const std::uint64_t size = length.value_or(need);
  check(offset <= file.size() && size <= file.size() - offset, "external data '", *location, "' has ", file.size(),
        " bytes; ", size, " at offset ", offset, " run past its end");
  return {file.data() + offset, static_cast<std::size_t>(size), file.owner()};
}

// The elements of a typed field as T. ONNX keeps narrow types in wider fields.
template <class T, class Field>
Tensor from_field(const Field& field, DType dtype, Shape shape) {
  check(static_cast<std::int64_t>(field.size()) == element_count(shape), "has ", field.size(), " elements of data but ",
        dtype, " ", shape, " takes ", element_count(shape));
  Tensor t(dtype, std::move(shape));
  const auto out = t.write<T>();
  for (int i = 0; i < field.size(); ++i) {
    if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>) {
      check(field[i] >= 0 && field[i] <= 0xffff, "element ", i, " is ", field[i], ", which is not 16 bits");
      out[static_cast<std::size_t>(i)].bits = static_cast<std::uint16_t>(field[i]);
    } else if constexpr (std::is_same_v<T, bool>) {
      out[static_cast<std::size_t>(i)] = field[i] != 0;
    } else {
      if constexpr (std::is_integral_v<T>)
        check(std::in_range<T>(field[i]), "element ", i, " is ", field[i], ", out of the range of ", dtype);
      out[static_cast<std::size_t>(i)] = static_cast<T>(field[i]);
    }
  }
  return t;
}

// Types that cannot be executed: wrong sizes are still told from types that are merely not supported.
[[noreturn]] void refuse(const TensorProto& proto, DType dtype, std::int64_t elements) {
  const bool raw = proto.has_raw_data() || proto.has_mapped_size();
  const std::uint64_t size = proto.has_raw_data() ? proto.raw_data().size() : proto.mapped_size();
  check(!raw || dtype != DType::string, "has strings as raw data");
  const bool halves = dtype == DType::u4 || dtype == DType::i4 || dtype == DType::f4e2m1;  // two to a byte
  const auto need = static_cast<std::uint64_t>(elements + 1) / 2;
  check(!raw || !halves || size == need, "has ", size, " bytes of data but ", elements, " elements of ", dtype,
        " take ", need);
  throw Error(Code::unsupported, concat("has the element type ", dtype, ", which cannot be executed"));
}

// The typed field that holds elements of this type, by its number in the schema.
int field_number(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return TensorProto::kFloatDataFieldNumber;
    case DType::f64:
      return TensorProto::kDoubleDataFieldNumber;
    case DType::i64:
      return TensorProto::kInt64DataFieldNumber;
    case DType::u32:
    case DType::u64:
      return TensorProto::kUint64DataFieldNumber;
    default:
      return TensorProto::kInt32DataFieldNumber;
  }
}

}  // namespace

Tensor TensorReader::typed_data(const TensorProto& proto, DType dtype, Shape shape) const {
  const std::pair<int, int> sizes[] = {{TensorProto::kFloatDataFieldNumber, proto.float_data_size()},
                                       {TensorProto::kInt32DataFieldNumber, proto.int32_data_size()},
                                       {TensorProto::kStringDataFieldNumber, proto.string_data_size()},
                                       {TensorProto::kInt64DataFieldNumber, proto.int64_data_size()},
                                       {TensorProto::kDoubleDataFieldNumber, proto.double_data_size()},
                                       {TensorProto::kUint64DataFieldNumber, proto.uint64_data_size()}};
  for (const auto& [number, size] : sizes)
    check(size == 0 || number == field_number(dtype), "has its data in a field that cannot hold ", dtype);
  std::optional<Tensor> t;
  with_type(AllTypes{}, dtype, [&]<class T>(Type<T>) {
    if constexpr (std::is_same_v<T, float>)
      t = from_field<T>(proto.float_data(), dtype, std::move(shape));
    else if constexpr (std::is_same_v<T, double>)
      t = from_field<T>(proto.double_data(), dtype, std::move(shape));
    else if constexpr (std::is_same_v<T, std::int64_t>)
      t = from_field<T>(proto.int64_data(), dtype, std::move(shape));
    else if constexpr (std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t>)
      t = from_field<T>(proto.uint64_data(), dtype, std::move(shape));
    else
      t = from_field<T>(proto.int32_data(), dtype, std::move(shape));
  });
  return std::move(*t);
}

Tensor TensorReader::read(const TensorProto& proto) try {
  const auto dtype = static_cast<DType>(proto.data_type());
  check(known(dtype), "has the element type ", proto.data_type(), ", which ONNX does not define");
  check(proto.dims_size() <= rank_limit, "has ", proto.dims_size(), " dims; at most ", rank_limit, " are allowed");
  check(!proto.has_segment(), Code::unsupported, "is stored in segments");
  Shape shape(proto.dims().begin(), proto.dims().end());
  const std::int64_t elements = element_count(shape);
  if (size_of(dtype) == 0) refuse(proto, dtype, elements);
  if (proto.data_location() == TensorProto::EXTERNAL)
    return from_bytes(dtype, std::move(shape),
                      external_span(proto, files_, static_cast<std::size_t>(elements) * size_of(dtype)));
  const bool typed = proto.float_data_size() || proto.int32_data_size() || proto.int64_data_size() ||
                     proto.double_data_size() || proto.uint64_data_size() || proto.string_data_size();
  check(!(typed && (proto.has_raw_data() || proto.has_mapped_size())), "has both raw and typed data");
  check(!(proto.has_raw_data() && proto.has_mapped_size()), "has raw data twice");
  if (proto.has_mapped_size()) {
    const std::uint64_t offset = proto.mapped_offset(), size = proto.mapped_size();
    check(offset <= file_.size() && size <= file_.size() - offset, "has raw data outside of the file");
    return from_bytes(dtype, std::move(shape), {file_.data() + offset, static_cast<std::size_t>(size), file_.owner()});
  }
  if (proto.has_raw_data()) {
    const std::string& raw = proto.raw_data();
    return from_bytes(dtype, std::move(shape), {reinterpret_cast<const std::byte*>(raw.data()), raw.size(), nullptr});
  }
  return typed_data(proto, dtype, std::move(shape));
} catch (Error& e) {
  throw e.in(concat("tensor '", proto.name(), "'"));
}

TensorProto header_to_proto(const Tensor& t, const std::string& name) {
  TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(static_cast<int>(t.dtype()));
  for (const auto d : t.shape()) proto.add_dims(d);
  return proto;
}

std::string raw_data_header(std::size_t bytes) {
  std::string header(1, static_cast<char>(TensorProto::kRawDataFieldNumber << 3 | 2));
  for (; bytes > 127; bytes >>= 7) header.push_back(static_cast<char>(bytes | 128));
  header.push_back(static_cast<char>(bytes));
  return header;
}

TensorProto to_proto(const Tensor& t, const std::string& name) {
  TensorProto proto = header_to_proto(t, name);
  proto.set_raw_data(t.raw(), t.bytes());
  return proto;
}

}  // namespace tessera
