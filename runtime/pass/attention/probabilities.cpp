#include "runtime/pass/attention/probabilities.h"

#include <algorithm>

#include "runtime/graph/build.h"
#include "runtime/pass/attention/mask_pattern.h"
#include "runtime/pass/attention/scores.h"

namespace tessera {
namespace {

bool rearranges(const Graph& g, const Node& n, ValueId out) {
  const auto op = n.op->name;
  const bool may = op == "Reshape" || op == "Transpose" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten" ||
                   op == "Identity" || (op == "Einsum" && n.in.size() == 1);
  return may && read_through(g, n, out) == n.in[0];
}

// p = Where(IsNaN(p), 0, p): the Where, when that is all that reads p.
NodeId guard_of(const Graph& g, const Uses& uses, ValueId p) {
  const auto& readers = uses.of[index(p)];
  if (readers.size() != 2 || uses.as_output[index(p)] > 0) return NodeId::none;
  for (const auto& [a, b] : {std::pair(readers[0], readers[1]), std::pair(readers[1], readers[0])}) {
    const Node &test = g.at(a), &where = g.at(b);
    if (test.op->name != "IsNaN" || where.op->name != "Where" || where.in[0] != test.out[0] || where.in[2] != p)
      continue;
    if (uses.count(test.out[0]) == 1 && uniform_value(g, where.in[1]) == 0.0 &&
        g.at(where.out[0]).shape == g.at(p).shape)
      return b;
  }
  return NodeId::none;
}

}  // namespace

std::optional<Probabilities> probabilities_of(const Graph& g, const Uses& uses, NodeId softmax, std::string& reason) {
  Probabilities found;
  ValueId p = g.at(softmax).out[0];
  found.view = dense_view(p, *g.at(p).shape);
  const auto refuse = [&](std::string text) {
    reason = std::move(text);
    return std::nullopt;
  };
  for (;;) {
    if (uses.count(p) == 0) return refuse(concat("nobody reads its probabilities '", g.at(p).name, "'"));
    if (const NodeId guard = guard_of(g, uses, p); guard != NodeId::none) {
      found.guarded = true;
      p = g.at(guard).out[0];
      continue;
    }
    // Of several readers a product is the one that may be there.
    const auto& readers = uses.of[index(p)];
    const auto is_product = [&](NodeId n) { return product_at(g, g.at(n)).has_value(); };
    const auto first = std::find_if(readers.begin(), readers.end(), is_product);
    const NodeId reader = first != readers.end() ? *first : readers.empty() ? NodeId::none : readers[0];
    if (const auto other = other_reader(g, uses, p, reader)) return refuse(concat("its probabilities ", *other));
    const Node& n = g.at(reader);
    if (auto product = product_at(g, n)) {
      if (product->left == product->right)
        return refuse(concat(describe(n), " multiplies its probabilities with themselves"));
      found.left = product->left == p;
      found.product = std::move(*product);
      return found;
    }
    const bool cast = n.op->name == "Cast" && n.op->domain.empty() && dtypes::floats.has(g.at(n.out[0]).dtype);
    if (!cast && !(rearranges(g, n, n.out[0]) && follow(found.view, g, n, n.out[0])))
      return refuse(concat("its probabilities '", g.at(p).name, "' are read by ", describe(n),
                           ", which is no product with values"));
    p = n.out[0];
  }
}

std::vector<StridedView> results_of(const Graph& g, const Uses& uses, ValueId v, const Shape& shape) {
  std::vector<StridedView> results;
  StridedView view = dense_view(v, *g.at(v).shape);  // of the result, in elements of v
  for (ValueId at = v;;) {
    // Turned around: the digits of the result, in the order of v's elements, against v's own axes.
    Axis digits{{1, {0, 0}}};
    std::int64_t step = 1;
    for (auto axis = view.axes.rbegin(); axis != view.axes.rend(); ++axis)
      for (auto d = axis->rbegin(); d != axis->rend(); ++d) {
        if (d->size > 1) digits.push_back({d->size, {d->strides[0], step}});
        step *= d->size;
      }
    std::stable_sort(digits.begin() + 1, digits.end(),
                     [](const Digit& a, const Digit& b) { return a.strides[0] > b.strides[0]; });
    Axis own;
    const Shape strides = row_major_strides(shape);
    for (std::size_t i = 0; i < shape.size(); ++i) own.push_back({shape[i], {strides[i]}, static_cast<int>(i)});
    if (own.empty()) own.push_back({1, {0}});
    if (const auto both = refine({own, digits})) {
      StridedView result{at};
      result.axes.resize(shape.size());
      for (const auto& d : *both)
        if (d.label >= 0) result.axes[static_cast<std::size_t>(d.label)].push_back({d.size, {d.strides[2]}});
      results.insert(results.begin(), std::move(result));
    }
    if (uses.count(at) != 1 || uses.as_output[index(at)] > 0) return results;
    const Node& n = g.at(uses.of[index(at)][0]);
    if (!rearranges(g, n, n.out[0]) || !follow(view, g, n, n.out[0])) return results;
    at = n.out[0];
  }
}

}  // namespace tessera
