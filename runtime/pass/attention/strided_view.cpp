#include "runtime/pass/attention/strided_view.h"

#include <algorithm>

#include "ops/equation.h"
#include "ops/slice_range.h"
#include "runtime/pass/attention/mask_pattern.h"

namespace tessera {
namespace {

// Longer chains of nodes than this are not followed.
constexpr std::size_t longest_chain = 32;

const Tensor* constant(const Graph& g, const Node& n, std::size_t i) {
  return i < n.in.size() && g.is_constant(n.in[i]) ? &g.at(n.in[i]).constant : nullptr;
}

const Shape& shape_of(const Graph& g, ValueId v) { return *g.at(v).shape; }

bool is_reshape(std::string_view op) {
  return op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten" || op == "Identity";
}

bool widens(DType from, DType to) {
  return dtypes::floats.has(from) && dtypes::floats.has(to) && size_of(from) < size_of(to);
}

// The operand that is not the scalar; `factor` becomes what it is multiplied by.
ValueId scaled_operand(const Graph& g, const Node& n, ValueId v, double& factor) {
  const auto scalar = [&](std::size_t i) -> std::optional<double> {
    // A weight stays a weight, even one that is 1 everywhere.
    if (g.is_constant(n.in[i]) && g.at(n.in[i]).constant.size() != 1) return std::nullopt;
    return uniform_value(g, n.in[i]);
  };
  const auto same_shape = [&](std::size_t i) { return g.at(n.in[i]).shape == g.at(v).shape; };
  if (!dtypes::floats.has(g.at(v).dtype)) return ValueId::none;
  if (n.op->name == "Neg") return factor = -1, n.in[0];
  if (const auto c = scalar(1); c && same_shape(0)) {
    factor = n.op->name == "Mul" ? *c : 1 / *c;
    return n.in[0];
  }
  if (n.op->name != "Mul") return ValueId::none;
  if (const auto c = scalar(0); c && same_shape(1)) return factor = *c, n.in[1];
  return ValueId::none;
}

bool is_scaling(std::string_view op) { return op == "Mul" || op == "Div" || op == "Neg"; }

// Axes in the order of an Einsum of one operand that sums and repeats nothing; empty otherwise.
std::vector<std::int64_t> permutation(const Graph& g, const Node& n) {
  const Equation e = parse_equation(std::get<std::string>(n.attributes.at("equation")), {shape_of(g, n.in[0])});
  std::vector<std::int64_t> perm;
  for (const int l : e.out) {
    const auto at = std::find(e.in[0].begin(), e.in[0].end(), l);
    if (at == e.in[0].end() || std::count(e.in[0].begin(), e.in[0].end(), l) != 1) return {};
    perm.push_back(at - e.in[0].begin());
  }
  return e.out.size() == e.in[0].size() ? perm : std::vector<std::int64_t>{};
}

// Takes `size` elements from `first` on, `step` apart.
bool cut(StridedView& view, std::size_t axis, std::int64_t first, std::int64_t step, std::int64_t size) {
  if (first == 0 && step == 1 && size == size_of(view.axes[axis])) return true;
  const Axis digits = merged(view.axes[axis]);
  if (digits.size() > 1) return false;
  const std::int64_t stride = digits.empty() ? 0 : digits[0].strides[0];
  view.offset += first * stride;
  view.axes[axis] = {{size, {stride * step}}};
  return true;
}

bool follow_slice(StridedView& view, const Graph& g, const Node& n) {
  const Shape& x = shape_of(g, n.in[0]);
  const auto range = slice_range(x, *constant(g, n, 1), *constant(g, n, 2), constant(g, n, 3), constant(g, n, 4));
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!cut(view, i, range.first[i], range.step[i], range.size[i])) return false;
  return true;
}

bool follow_split(StridedView& view, const Graph& g, const Node& n, ValueId v) {
  const AttributeReader attr(n.op->attributes, n.attributes);
  const auto axis = static_cast<std::size_t>(normal_axis(attr.integer("axis"), shape_of(g, n.in[0]).rank()));
  std::int64_t first = 0;
  for (const ValueId part : n.out) {
    if (part == ValueId::none) return false;  // its size is not known
    if (part == v) break;
    first += shape_of(g, part)[axis];
  }
  return cut(view, axis, first, 1, shape_of(g, v)[axis]);
}

bool follow_gather(StridedView& view, const Graph& g, const Node& n) {
  const AttributeReader attr(n.op->attributes, n.attributes);
  const Shape& x = shape_of(g, n.in[0]);
  const auto axis = static_cast<std::size_t>(normal_axis(attr.integer("axis"), x.rank()));
  const Tensor& at = *constant(g, n, 1);
  const std::int64_t index = integers(at.reshaped({1}))[0];
  if (!cut(view, axis, index < 0 ? index + x[axis] : index, 1, 1)) return false;
  const auto place = view.axes.begin() + static_cast<std::ptrdiff_t>(axis);
  const auto next = view.axes.erase(place);
  view.axes.insert(next, static_cast<std::size_t>(at.rank()), Axis{{1, {0}}});
  return true;
}

bool follow_expand(StridedView& view, const Shape& to) {
  while (view.axes.size() < to.size()) view.axes.insert(view.axes.begin(), Axis{{1, {0}}});
  for (std::size_t i = 0; i < to.size(); ++i)
    if (size_of(view.axes[i]) != to[i]) view.axes[i] = {{to[i], {0}}};
  return true;
}

}  // namespace

std::int64_t size_of(const Axis& a) {
  std::int64_t n = 1;
  for (const auto& d : a) n *= d.size;
  return n;
}

StridedView dense_view(ValueId v, const Shape& shape) {
  StridedView view{v};
  const Shape strides = row_major_strides(shape);
  for (std::size_t i = 0; i < shape.size(); ++i) view.axes.push_back({{shape[i], {strides[i]}}});
  return view;
}

bool reshape(StridedView& view, const Shape& shape) {
  Axis digits;
  for (const auto& a : view.axes) digits.insert(digits.end(), a.begin(), a.end());
  std::vector<Axis> axes;
  std::size_t next = 0;
  for (const std::int64_t size : shape) {
    Axis axis;
    if (size == 0) return false;
    for (std::int64_t left = size; left > 1 || (size == 1 && axis.empty());) {
      if (size == 1 && (next == digits.size() || digits[next].size > 1)) {
        axis.push_back({1, {0}});
        break;
      }
      if (next == digits.size() || digits[next].size == 0) return false;
      Digit& d = digits[next];
      if (d.size <= left) {
        if (left % d.size != 0) return false;
        left /= d.size;
        axis.push_back(d);
        ++next;
      } else {
        if (d.size % left != 0) return false;
        const std::int64_t rest = d.size / left;
        axis.push_back({left, {d.strides[0] * rest}});
        d.size = rest;
        left = 1;
      }
    }
    axes.push_back(std::move(axis));
  }
  view.axes = std::move(axes);
  return std::all_of(digits.begin() + static_cast<std::ptrdiff_t>(next), digits.end(),
                     [](const Digit& d) { return d.size == 1; });
}

void transpose(StridedView& view, std::span<const std::int64_t> perm) {
  std::vector<Axis> axes;
  for (const auto p : perm) axes.push_back(view.axes[static_cast<std::size_t>(p)]);
  view.axes = std::move(axes);
}

ValueId read_through(const Graph& g, const Node& n, ValueId v) {
  const auto op = n.op->name;
  if (!n.op->domain.empty() || n.in.empty() || n.in[0] == ValueId::none) return ValueId::none;
  for (const ValueId i : n.in)
    if (i != ValueId::none && !g.at(i).shape) return ValueId::none;
  if (!g.at(v).shape) return ValueId::none;
  double factor;
  if (is_scaling(op)) return scaled_operand(g, n, v, factor);
  const auto given = [&](std::size_t i) { return i >= n.in.size() || n.in[i] == ValueId::none || constant(g, n, i); };
  const bool reads =
      is_reshape(op) || op == "Transpose" || op == "Expand" || op == "Split" ||
      (op == "Cast" && widens(g.at(n.in[0]).dtype, g.at(v).dtype)) ||
      (op == "Slice" && given(1) && given(2) && given(3) && given(4)) ||
      (op == "Gather" && constant(g, n, 1) && g.at(n.in[1]).constant.size() == 1) ||
      (op == "Einsum" && n.in.size() == 1 && (shape_of(g, n.in[0]).empty() || !permutation(g, n).empty()));
  return reads ? n.in[0] : ValueId::none;
}

bool follow(StridedView& view, const Graph& g, const Node& n, ValueId v) {
  const auto op = n.op->name;
  const Shape& to = shape_of(g, v);
  if (is_reshape(op)) return reshape(view, to);
  if (op == "Expand") return follow_expand(view, to);
  if (op == "Slice") return follow_slice(view, g, n);
  if (op == "Split") return follow_split(view, g, n, v);
  if (op == "Gather") return follow_gather(view, g, n);
  if (op == "Einsum") return transpose(view, permutation(g, n)), true;
  if (op == "Transpose") {
    const auto given = AttributeReader(n.op->attributes, n.attributes).integers("perm");
    std::vector<std::int64_t> perm(given.begin(), given.end());
    for (auto i = static_cast<std::int64_t>(to.size()); given.empty() && i-- > 0;) perm.push_back(i);
    for (auto& p : perm) p = normal_axis(p, to.rank());
    transpose(view, perm);
    return true;
  }
  if (is_scaling(op)) {
    double factor = 1;
    scaled_operand(g, n, v, factor);
    view.scale *= factor;
  }
  return true;
}

std::vector<StridedView> views_of(const Graph& g, ValueId v, const std::vector<char>& stop) {
  std::vector<ValueId> chain{v};  // each read through by the one before
  while (chain.size() < longest_chain) {
    const ValueId at = chain.back();
    if (g.at(at).producer == NodeId::none || (index(at) < stop.size() && stop[index(at)])) break;
    const ValueId from = read_through(g, g.at(g.at(at).producer), at);
    if (from == ValueId::none) break;
    chain.push_back(from);
  }
  std::vector<StridedView> views;
  for (std::size_t start = chain.size(); start-- > 0;) {
    StridedView view = dense_view(chain[start], shape_of(g, chain[start]));
    bool holds = true;
    for (std::size_t i = start; holds && i-- > 0;) holds = follow(view, g, g.at(g.at(chain[i]).producer), chain[i]);
    if (holds) views.push_back(std::move(view));
  }
  return views;
}

std::optional<Axis> refine(const std::vector<Axis>& axes) {
  std::vector<Axis> rest = axes;
  std::vector<std::size_t> next(axes.size());
  Axis out;
  const auto left = [&](std::size_t a) { return next[a] < rest[a].size(); };
  for (;;) {
    std::int64_t size = 0;  // the smallest digit at hand
    for (std::size_t a = 0; a < rest.size(); ++a)
      if (left(a)) size = size == 0 ? rest[a][next[a]].size : std::min(size, rest[a][next[a]].size);
    if (std::none_of(rest.begin(), rest.end(),
                     [&](const Axis& a) { return left(static_cast<std::size_t>(&a - rest.data())); }))
      return out;
    if (size == 0) return std::nullopt;
    Digit d{size};
    for (std::size_t a = 0; a < rest.size(); ++a) {
      // (The strides of an axis that has no digit of size 1 here.)
      const std::size_t width = axes[a].empty() ? 1 : axes[a][0].strides.size();
      if (!left(a) && size > 1) return std::nullopt;
      if (!left(a) || (size == 1 && rest[a][next[a]].size > 1)) {
        d.strides.insert(d.strides.end(), width, 0);
        continue;
      }
      Digit& from = rest[a][next[a]];
      if (from.size % size != 0) return std::nullopt;
      const std::int64_t inner = from.size / size;
      for (const auto s : from.strides) d.strides.push_back(s * inner);
      if (a == 0) d.label = from.label;
      from.size = inner;
      if (inner == 1) ++next[a];
    }
    out.push_back(std::move(d));
  }
}

Axis merged(const Axis& a) {
  Axis out;
  for (const auto& d : a) {
    if (d.size == 1) continue;
    const bool joins = !out.empty() && [&] {
      for (std::size_t i = 0; i < d.strides.size(); ++i)
        if (out.back().strides[i] != d.strides[i] * d.size) return false;
      return true;
    }();
    if (joins) {
      out.back().size *= d.size;
      out.back().strides = d.strides;
    } else {
      out.push_back(d);
    }
  }
  return out;
}

}  // namespace tessera
