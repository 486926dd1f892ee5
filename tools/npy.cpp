#include "tools/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace tessera {
namespace {

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
};

// Reads the Python literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : rest_(text) {}

  Header read() {
    Header h;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      const bool known = key == "descr" || key == "fortran_order" || key == "shape";
      check(known, "the .npy header has an unknown key '", key, "'");
      const bool fresh = key == "descr" ? !h.descr : key == "shape" ? !h.shape : !h.fortran;
      check(fresh, "the .npy header has '", key, "' twice");
      if (key == "descr") h.descr = descr();
      if (key == "fortran_order") h.fortran = truth();
      if (key == "shape") h.shape = shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    check(peek() == '\0', "the .npy header does not end after its dict");
    check(h.descr && h.fortran && h.shape, "the .npy header lacks 'descr', 'fortran_order' or 'shape'");
    return h;
  }

 private:
  char peek() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool accept(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { check(accept(c), "the .npy header is malformed: expected '", c, "'"); }
  std::string quoted() {
    const char quote = peek();
    check(quote == '\'' || quote == '"', "the .npy header is malformed: expected a quoted word");
    rest_.remove_prefix(1);
    const auto end = rest_.find(quote);
    check(end != std::string_view::npos && end < 64, "the .npy header is malformed: a word does not end");
    std::string word(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return word;
  }
  std::string descr() {
    check(peek() != '[', Code::unsupported, "the .npy file holds records, not plain numbers");
    return quoted();
  }
  bool truth() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    throw Error(Code::bad_input, "the .npy header is malformed: fortran_order is neither True nor False");
  }
  Shape shape() {
    Shape dims;
    expect('(');
    while (!accept(')')) {
      peek();
      std::int64_t n = -1;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), n);
      check(error == std::errc() && n >= 0, "the .npy header is malformed: a dim of the shape is no size");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      accept('L');  // Python 2 wrote long integers so
      dims.push_back(n);
      check(dims.size() <= 64, "the .npy header has more than 64 dims");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view rest_;
};

struct TypeName {
  const char* descr;  // without the byte order
  DType dtype;
};
constexpr TypeName type_names[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16}, {"b1", DType::boolean},
                                   {"i1", DType::i8},  {"i2", DType::i16}, {"i4", DType::i32}, {"i8", DType::i64},
                                   {"u1", DType::u8},  {"u2", DType::u16}, {"u4", DType::u32}, {"u8", DType::u64}};

DType dtype_of_descr(const std::string& descr) {
  check(!descr.empty() && std::strchr("<>|=", descr[0]), "the .npy element type '", descr, "' is malformed");
  for (const auto& t : type_names)
    if (descr.substr(1) == t.descr) return t.dtype;
  throw Error(Code::unsupported, concat("the .npy element type '", descr, "' cannot be executed",
                                        descr[1] == 'O' ? " (pickled Python objects are never read)" : ""));
}

// The header text and where the elements start.
std::pair<std::string_view, std::size_t> split(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  check(text.starts_with("\x93NUMPY") && text.size() >= 10, "this is no .npy file");
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(text[i])); };
  const auto version = byte(6);
  check(version >= 1 && version <= 3, "the .npy version ", version, " is not known");
  const std::size_t begin = version == 1 ? 10 : 12;
  check(text.size() >= begin, "the .npy file ends inside its header");
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  check(length <= text.size() - begin, "the .npy file ends inside its header");
  return {text.substr(begin, length), begin + length};
}

void swap_bytes(Tensor& t) {
  const std::size_t width = size_of(t.dtype());
  auto* at = static_cast<std::byte*>(t.raw());
  for (std::int64_t i = 0; i < t.size(); ++i, at += width) std::reverse(at, at + width);
}

// Elements in column-major order of `shape` -> row-major.
Tensor from_fortran(const Tensor& t, const Shape& shape) {
  Tensor out(t.dtype(), shape);
  with_width(t.dtype(), [&]<class U>(Type<U>) {
    const U* from = static_cast<const U*>(t.raw());
    U* to = static_cast<U*>(out.raw());
    Shape stride(shape.size()), index(shape.size());
    for (std::size_t d = 0, step = 1; d < shape.size(); ++d) {
      stride[d] = static_cast<std::int64_t>(step);
      step *= static_cast<std::size_t>(shape[d]);
    }
    std::int64_t offset = 0;
    for (std::int64_t i = 0; i < out.size(); ++i) {
      to[i] = from[offset];
      for (int d = shape.rank() - 1; d >= 0; --d) {
        offset += stride[d];
        if (++index[d] < shape[d]) break;
        offset -= stride[d] * shape[d];
        index[d] = 0;
      }
    }
  });
  return out;
}

}  // namespace

Tensor npy_to_tensor(std::span<const std::byte> file) {
  const auto [text, start] = split(file);
  const Header h = HeaderReader(text).read();
  const DType dtype = dtype_of_descr(*h.descr);
  const auto elements = file.subspan(start);
  const std::int64_t n = element_count(*h.shape);
  check(static_cast<std::uint64_t>(n) == elements.size() / size_of(dtype) && elements.size() % size_of(dtype) == 0,
        "the .npy header announces ", n, " elements of ", dtype, " (shape ", *h.shape, "), the file holds ",
        elements.size(), " bytes of them");
  Tensor t(dtype, *h.shape);
  if (!elements.empty()) std::memcpy(t.raw(), elements.data(), elements.size());
  if ((*h.descr)[0] == '>') swap_bytes(t);
  if (dtype == DType::boolean)
    for (auto* p = static_cast<std::uint8_t*>(t.raw()); p != static_cast<std::uint8_t*>(t.raw()) + n; ++p) *p = *p != 0;
  return *h.fortran && t.rank() > 1 ? from_fortran(t, *h.shape) : t;
}

std::span<const std::byte> bytes_of(const Tensor& t) { return {static_cast<const std::byte*>(t.raw()), t.bytes()}; }

std::string npy_header(DType dtype, const Shape& shape) {
  const auto* found =
      std::find_if(std::begin(type_names), std::end(type_names), [&](auto& t) { return t.dtype == dtype; });
  check(found != std::end(type_names), Code::unsupported, "NumPy has no ", dtype, "; write a .pb file instead");
  std::string dims;
  for (const auto d : shape) dims += concat(d, shape.rank() == 1 ? "," : ", ");
  if (shape.rank() > 1) dims.resize(dims.size() - 2);
  std::string dict = concat("{'descr': '", size_of(dtype) == 1 ? "|" : "<", found->descr,
                            "', 'fortran_order': False, 'shape': (", dims, "), }");
  dict.append(64 - (10 + dict.size() + 1) % 64, ' ');
  dict += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 0xff);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

}  // namespace tessera
