#include "runtime/tensor/text.h"

#include <cctype>
#include <charconv>
#include <cmath>

namespace tessera {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view& text) : text_(text) {}

  Tensor tensor(DType assumed) {
    skip();
    const DType named = type();
    const DType dtype = named == DType::undefined ? assumed : named;
    const bool spelled = peek() == '[';
    Shape shape = spelled ? dims() : Shape{};
    skip();
    if (peek() != '{') {
      values_.push_back(number());
    } else {
      Shape found;
      braces(found, 0);
      if (!spelled) shape = found;
    }
    const Tensor all = Tensor::vector<double>(values_);
    check(element_count(shape) == all.size(), "tensor text has ", all.size(), " elements, its shape is ", shape);
    return converted(all, dtype).reshaped(shape);
  }

 private:
  char peek() const { return text_.empty() ? '\0' : text_.front(); }
  void skip() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front()))) text_.remove_prefix(1);
  }
  bool take(char c) {
    skip();
    if (peek() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  DType type() {
    std::size_t n = 0;
    while (n < text_.size() && std::isalnum(static_cast<unsigned char>(text_[n]))) ++n;
    const DType t = dtype_from_name(text_.substr(0, n));
    if (t != DType::undefined) text_.remove_prefix(n);
    skip();
    return t;
  }
  Shape dims() {
    Shape shape;
    take('[');
    while (!take(']')) {
      shape.push_back(static_cast<std::int64_t>(number()));
      take('x');
    }
    return shape;
  }
  void braces(Shape& shape, std::size_t depth) {
    check(take('{'), "expected '{' at \"", text_, "\"");
    if (shape.size() <= depth) shape.push_back(-1);
    std::int64_t n = 0;
    while (!take('}')) {
      skip();
      if (peek() == '{')
        braces(shape, depth + 1);
      else
        values_.push_back(number());
      ++n;
      skip();
      check(peek() == '}' || take(','), "expected ',' or '}' at \"", text_, "\"");
    }
    check(shape[depth] == -1 || shape[depth] == n, "ragged braces: ", shape[depth], " and ", n, " elements");
    shape[depth] = n;
  }
  double number() {
    skip();
    for (const auto& [word, value] :
         {std::pair{"true", 1.0}, {"false", 0.0}, {"-inf", -INFINITY}, {"inf", INFINITY}, {"nan", NAN}})
      if (text_.starts_with(word)) {
        text_.remove_prefix(std::string_view(word).size());
        return value;
      }
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    check(error == std::errc{}, "expected a number at \"", text_, "\"");
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }

  std::string_view& text_;
  std::vector<double> values_;
};

// Element i. Integers are written exactly, which f64 could not beyond 2^53.
void write_number(std::ostream& o, const Tensor& x, std::size_t i) {
  with_type(AllTypes{}, x.dtype(), [&]<class T>(Type<T>) {
    const T value = x.read<T>()[i];
    if constexpr (std::is_same_v<T, bool>)
      o << (value ? "true" : "false");
    else if constexpr (std::is_integral_v<T>)
      o << +value;
    else
      o << static_cast<Compute<T>>(value);
  });
}

// Prints the elements of one nesting level, starting at `at`.
void write(std::ostream& o, const Tensor& x, std::size_t depth, std::size_t& at) {
  const Shape& s = x.shape();
  if (depth == s.size()) return write_number(o, x, at++);
  o << '{';
  for (std::int64_t i = 0; i < s[depth]; ++i) {
    if (i) o << ", ";
    write(o, x, depth + 1, at);
  }
  o << '}';
}

}  // namespace

Tensor parse_tensor(std::string_view& text, DType assumed) { return Reader(text).tensor(assumed); }

Tensor tensor_from_text(std::string_view text, DType assumed) {
  Tensor t = parse_tensor(text, assumed);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  check(text.empty(), "unexpected \"", text, "\" after a tensor");
  return t;
}

std::string to_text(const Tensor& t, std::int64_t limit) {
  std::ostringstream o;
  o.imbue(std::locale::classic());
  o << t.dtype();
  if (t.size() == 0) {
    o << t.shape() << "{}";
  } else if (t.size() > limit) {
    o << t.shape() << '{';
    for (std::size_t i = 0; i < 3; ++i) write_number(o, t, i), o << ", ";
    o << "..., ";
    write_number(o, t, static_cast<std::size_t>(t.size()) - 1);
    o << '}';
  } else {
    std::size_t at = 0;
    if (t.rank() == 0) o << ' ';
    write(o, t, 0, at);
  }
  return o.str();
}

}  // namespace tessera
