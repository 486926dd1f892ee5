#include "runtime/pass/attention/mask_pattern.h"

#include <cstring>
#include <map>

#include "runtime/op/evaluate.h"

namespace tessera {
namespace {

// Deeper masks than this are not looked into.
constexpr int deepest = 24;

Tensor element(const Tensor& t, std::int64_t i) {
  Tensor one(t.dtype(), {});
  std::memcpy(one.raw(), static_cast<const std::byte*>(t.raw()) + static_cast<std::size_t>(i) * size_of(t.dtype()),
              size_of(t.dtype()));
  return one;
}

bool same_element(const Tensor& t, std::int64_t a, std::int64_t b) {
  const std::size_t size = size_of(t.dtype());
  const auto* p = static_cast<const std::byte*>(t.raw());
  return std::memcmp(p + static_cast<std::size_t>(a) * size, p + static_cast<std::size_t>(b) * size, size) == 0;
}

// Looks at all elements, but stops at the first that breaks the pattern.
std::optional<MaskPattern> pattern_of_constant(const Tensor& t) {
  if (t.size() == 0) return std::nullopt;
  const std::int64_t columns = t.rank() > 0 ? t.dim(t.rank() - 1) : 1, rows = t.rank() > 1 ? t.dim(t.rank() - 2) : 1;
  // The first change along any row tells the diagonal.
  std::int64_t diagonal = columns;
  for (std::int64_t i = 0; i < rows && diagonal == columns; ++i)
    for (std::int64_t j = 1; j < columns; ++j)
      if (!same_element(t, i * columns, i * columns + j)) {
        diagonal = j - 1 - i;
        break;
      }
  std::int64_t high = -1;
  if (diagonal == columns) {
    // Rows without a change: low above, high below a diagonal that no row crosses, or uniform.
    for (std::int64_t i = 1; i < rows; ++i)
      if (!same_element(t, 0, i * columns)) return std::nullopt;
    high = 0;
  }
  std::int64_t low = high == 0 ? 0 : -1;
  const std::int64_t matrix = rows * columns;
  for (std::int64_t at = 0; at < t.size(); ++at) {
    const std::int64_t i = at % matrix / columns, j = at % columns;
    std::int64_t& first = j - i <= diagonal ? low : high;
    if (first < 0) first = at;
    if (!same_element(t, first, at)) return std::nullopt;
  }
  return MaskPattern{element(t, low < 0 ? high : low), element(t, high < 0 ? low : high), diagonal};
}

// Positions along the last axis, or the one before it: element = first + its index.
struct Positions {
  bool columns;
  std::int64_t first;
};

std::optional<Positions> positions(const Graph& g, ValueId v) {
  if (!g.is_constant(v)) return std::nullopt;
  const Tensor& t = g.at(v).constant;
  if ((t.dtype() != DType::i64 && t.dtype() != DType::i32) || t.rank() == 0 || t.size() < 2) return std::nullopt;
  const bool columns = t.dim(t.rank() - 1) == t.size();
  if (!columns && (t.rank() < 2 || t.dim(t.rank() - 2) != t.size())) return std::nullopt;
  const Shape values = integers(t.reshaped({t.size()}));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != values[0] + static_cast<std::int64_t>(i)) return std::nullopt;
  return Positions{columns, values[0]};
}

class Reader {
 public:
  explicit Reader(const Graph& g) : g_(g) {}

  std::optional<MaskPattern> read(ValueId v, int depth) {
    if (v == ValueId::none || depth > deepest) return std::nullopt;
    const auto known = known_.find(v);
    if (known != known_.end()) return known->second;
    return known_[v] = look(v, depth);
  }

 private:
  std::optional<MaskPattern> look(ValueId v, int depth) {
    if (g_.is_constant(v)) return pattern_of_constant(g_.at(v).constant);
    if (g_.at(v).producer == NodeId::none || !g_.at(v).shape) return std::nullopt;
    const Node& n = g_.at(g_.at(v).producer);
    if (!n.op->domain.empty()) return std::nullopt;
    for (const ValueId i : n.in)
      if (i != ValueId::none && !g_.at(i).shape) return std::nullopt;
    const auto op = n.op->name;
    if (op == "ConstantOfShape") return constant_of_shape(n);
    if (op == "Trilu") return triangle(n, depth);
    if (op == "Slice") return slice(n, v, depth);
    if (op == "Expand" || op == "Reshape" || op == "Unsqueeze" || op == "Squeeze" || op == "Identity")
      return moved(n, v, depth);
    if (auto compared = comparison(n)) return compared;
    if (n.op->pointwise) return pointwise(n, depth);
    return std::nullopt;
  }

  const Shape& shape(ValueId v) const { return *g_.at(v).shape; }

  std::optional<MaskPattern> constant_of_shape(const Node& n) const {
    const auto given = n.attributes.find("value");
    const Tensor zero = Tensor::scalar(DType::f32, 0);
    const Tensor one = given == n.attributes.end() ? zero : element(std::get<Tensor>(given->second), 0);
    return MaskPattern{one, one};
  }

  // Moving keeps the pattern where the last two axes stay what they are, or where there is none.
  std::optional<MaskPattern> moved(const Node& n, ValueId v, int depth) {
    auto p = read(n.in[0], depth + 1);
    if (!p || p->uniform()) return p;
    const Shape &from = shape(n.in[0]), &to = shape(v);
    const auto last = [](const Shape& s, std::size_t back) { return s.size() < back ? 1 : s[s.size() - back]; };
    return last(from, 1) == last(to, 1) && last(from, 2) == last(to, 2) ? p : std::nullopt;
  }

  std::optional<MaskPattern> triangle(const Node& n, int depth) {
    auto p = read(n.in[0], depth + 1);
    if (!p || !p->uniform()) return std::nullopt;
    const bool upper = AttributeReader(n.op->attributes, n.attributes).flag("upper");
    std::int64_t k = 0;
    if (n.in.size() > 1 && n.in[1] != ValueId::none) {
      if (!g_.is_constant(n.in[1])) return std::nullopt;
      k = g_.at(n.in[1]).constant.read<std::int64_t>()[0];
    }
    const Tensor zero = Tensor::scalar(p->low.dtype(), 0);
    return upper ? MaskPattern{zero, p->high, k - 1} : MaskPattern{p->low, zero, k};
  }

  // A slice of a triangle is one with another diagonal.
  std::optional<MaskPattern> slice(const Node& n, ValueId v, int depth) {
    auto p = read(n.in[0], depth + 1);
    if (!p || p->uniform()) return p;
    for (std::size_t i = 1; i < n.in.size(); ++i)
      if (n.in[i] != ValueId::none && !g_.is_constant(n.in[i])) return std::nullopt;
    const Shape& x = shape(n.in[0]);
    const Shape starts = integers(g_.at(n.in[1]).constant);
    Shape axes, steps(starts.size(), 1);
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
    if (n.in.size() > 3 && n.in[3] != ValueId::none) axes = integers(g_.at(n.in[3]).constant);
    if (n.in.size() > 4 && n.in[4] != ValueId::none) steps = integers(g_.at(n.in[4]).constant);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const auto axis = static_cast<std::size_t>(normal_axis(axes[i], x.rank()));
      if (shape(v)[axis] == x[axis] && steps[i] == 1) continue;
      if (steps[i] != 1) return std::nullopt;
      const std::int64_t first = std::clamp<std::int64_t>(starts[i] < 0 ? starts[i] + x[axis] : starts[i], 0, x[axis]);
      if (axis + 1 == x.size()) p->diagonal -= first;
      if (axis + 2 == x.size()) p->diagonal += first;
    }
    return p;
  }

  // Columns against rows: j + a <= i + b, and the like.
  std::optional<MaskPattern> comparison(const Node& n) const {
    const auto op = n.op->name;
    const bool less = op == "Less", less_equal = op == "LessOrEqual", greater = op == "Greater",
               greater_equal = op == "GreaterOrEqual";
    if (!(less || less_equal || greater || greater_equal)) return std::nullopt;
    const auto a = positions(g_, n.in[0]), b = positions(g_, n.in[1]);
    if (!a || !b || a->columns == b->columns) return std::nullopt;
    const Tensor yes = Tensor::scalar(DType::boolean, 1), no = Tensor::scalar(DType::boolean, 0);
    const std::int64_t shift = a->columns ? b->first - a->first : a->first - b->first;  // i - j of equal positions
    // "column < row" and "row > column" hold up to a diagonal; the other two beyond it.
    const bool low = a->columns ? less || less_equal : greater || greater_equal;
    const bool includes = (less_equal || greater_equal) == low;
    return MaskPattern{low ? yes : no, low ? no : yes, shift - (includes ? 0 : 1)};
  }

  std::optional<MaskPattern> pointwise(const Node& n, int depth) {
    std::vector<MaskPattern> in;
    std::optional<std::int64_t> diagonal;
    for (const ValueId v : n.in) {
      auto p = read(v, depth + 1);
      if (!p) return std::nullopt;
      if (!p->uniform()) {
        // A pattern that is broadcast along rows or columns is none.
        if (diagonal && *diagonal != p->diagonal) return std::nullopt;
        diagonal = p->diagonal;
        const Shape &own = shape(v), &all = shape(n.out[0]);
        if (own.size() < 2 || own[own.size() - 1] != all[all.size() - 1] || own[own.size() - 2] != all[all.size() - 2])
          return std::nullopt;
      }
      in.push_back(std::move(*p));
    }
    std::vector<const Tensor*> low, high;
    for (const auto& p : in) low.push_back(&p.low), high.push_back(&p.high);
    const auto one = [&](const std::vector<const Tensor*>& x) {
      return evaluate(*n.op, n.attributes, x, 1)[0].reshaped({});
    };
    try {
      return MaskPattern{one(low), one(high), diagonal.value_or(0)};
    } catch (const Error&) {  // an integer division by 0, perhaps of elements that are not there
      return std::nullopt;
    }
  }

  const Graph& g_;
  std::map<ValueId, std::optional<MaskPattern>> known_;
};

}  // namespace

std::optional<MaskPattern> mask_pattern(const Graph& g, ValueId v) { return Reader(g).read(v, 0); }

std::optional<double> uniform_value(const Graph& g, ValueId v) {
  if (v == ValueId::none) return std::nullopt;
  if (g.is_constant(v) && g.at(v).constant.size() > 1) {  // most weights are told apart by their first two elements
    const Tensor& t = g.at(v).constant;
    if (!same_element(t, 0, 1)) return std::nullopt;
  }
  const auto p = mask_pattern(g, v);
  if (!p || !p->uniform()) return std::nullopt;
  return doubles(p->low)[0];
}

}  // namespace tessera
