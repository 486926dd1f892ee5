#include "runtime/pass/attention/scores.h"

#include <cmath>

#include "runtime/graph/build.h"
#include "runtime/pass/attention/mask_pattern.h"

namespace tessera {
namespace {

// Longer chains of nodes between product and softmax are not followed.
constexpr int longest_chain = 64;

class Climb {
 public:
  Climb(const Graph& g, const Uses& uses) : g_(g), uses_(uses) {}

  // `factor`: of value v in the softmax's input.
  bool up(ValueId v, NodeId reader, double factor) {
    const Value& value = g_.at(v);
    if (++steps_ > longest_chain) return far("its scores are the end of a long chain of nodes");
    if (value.producer == NodeId::none)
      return far(concat("its scores '", value.name, "' are no product of two tensors"));
    if (!value.shape) return near(concat("the shape of '", value.name, "' is known only during the run"));
    if (const auto other = other_reader(g_, uses_, v, reader)) return near(concat("its scores ", *other));
    const NodeId id = value.producer;
    const Node& n = g_.at(id);
    if (!n.op->domain.empty()) return far(concat("its scores come from ", describe(n)));
    const auto op = n.op->name;
    if (op == "MatMul" || op == "Einsum" || op == "Gemm") return product(n, factor);
    if (op == "Cast") {
      if (!dtypes::floats.has(g_.at(n.in[0]).dtype))
        return far(concat("its scores are cast from ", g_.at(n.in[0]).dtype));
      return up(n.in[0], id, factor);
    }
    if (op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten" || op == "Identity")
      return reshaped(v, id, factor);
    if (op == "Neg") return up(n.in[0], id, -factor);
    if (op == "Mul" || op == "Div") return scaled(v, id, factor);
    if (op == "Add" || op == "Sub") return added(v, id, factor);
    if (op == "Where") return chosen(v, id, factor);
    if (op == "Tanh") return capped(id, factor);
    return far(concat(describe(n), " stands between the product and the softmax"));
  }

  Scores found{};
  std::string reason{};

 private:
  // Reasons after a product was almost reached count more than those that say it is no attention at all.
  bool near(std::string text) { return refuse(std::move(text), 1); }
  bool far(std::string text) { return refuse(std::move(text), 0); }
  bool refuse(std::string text, int weight) {
    if (reason.empty() || weight > weight_) reason = std::move(text), weight_ = weight;
    return false;
  }

  bool product(const Node& n, double factor) {
    auto p = product_at(g_, n);
    if (!p) return far(concat(describe(n), " is no product of two tensors along one axis"));
    if (!std::isfinite(factor) || factor == 0)
      return near(concat("the scores of ", describe(n), " are scaled by ", factor));
    found.product = std::move(*p);
    found.scale = factor * found.product.factor;
    if (found.softcap > 0) found.scale *= found.softcap;
    return true;
  }

  bool reshaped(ValueId v, NodeId id, double factor) {
    const Node& n = g_.at(id);
    const auto &from = g_.at(n.in[0]).shape, &to = g_.at(v).shape;
    if (!from || from->empty() || to->empty() || (*from)[from->size() - 1] != (*to)[to->size() - 1])
      return far(concat(describe(n), " changes the axis of the softmax"));
    return up(n.in[0], id, factor);
  }

  bool full(ValueId part, ValueId whole) const { return g_.at(part).shape == g_.at(whole).shape; }

  bool scaled(ValueId v, NodeId id, double factor) {
    const Node& n = g_.at(id);
    if (const auto c = uniform_value(g_, n.in[1]); c && full(n.in[0], v))
      return up(n.in[0], id, n.op->name == "Mul" ? factor * *c : factor / *c);
    if (n.op->name == "Mul")
      if (const auto c = uniform_value(g_, n.in[0]); c && full(n.in[1], v)) return up(n.in[1], id, factor * *c);
    return far(concat(describe(n), " scales the scores by more than one number"));
  }

  // Either side may be the scores: the other is a mask then.
  bool added(ValueId v, NodeId id, double factor) {
    const Node& n = g_.at(id);
    if (found.softcap > 0) return near(concat(describe(n), " adds to the scores before the softcap"));
    const double sign = n.op->name == "Sub" ? -1 : 1;
    for (const std::size_t i : {0, 1}) {
      if (g_.is_constant(n.in[i]) || !full(n.in[i], v)) continue;
      const Scores before = found;
      found.masks.push_back({n.in[1 - i], false, false, i == 0 ? factor * sign : factor, *g_.at(v).shape});
      if (up(n.in[i], id, i == 0 ? factor : factor * sign)) return true;
      found = before;
    }
    return far(concat("neither operand of ", describe(n), " leads to a product of two tensors"));
  }

  bool chosen(ValueId v, NodeId id, double factor) {
    const Node& n = g_.at(id);
    if (found.softcap > 0) return near(concat(describe(n), " masks the scores before the softcap"));
    for (const std::size_t kept : {1, 2}) {
      const auto fill = uniform_value(g_, n.in[3 - kept]);
      if (!fill || !full(n.in[kept], v) || g_.is_constant(n.in[kept])) continue;
      const double number = *fill * factor;
      if (std::isnan(number) || number == INFINITY)
        return near(concat(describe(n), " fills in ", number, " where the scores are hidden"));
      found.masks.push_back({n.in[0], true, kept == 2, number, *g_.at(v).shape});
      return up(n.in[kept], id, factor);
    }
    return far(concat(describe(n), " fills in more than one number"));
  }

  // factor * tanh(x) = c tanh(s / c) with c = |factor|.
  bool capped(NodeId id, double factor) {
    if (found.softcap > 0) return near(concat(describe(g_.at(id)), " is a second softcap"));
    if (!std::isfinite(factor) || factor == 0) return near(concat("the softcap is ", factor));
    found.softcap = std::abs(factor);
    return up(g_.at(id).in[0], id, factor < 0 ? -1 : 1);
  }

  const Graph& g_;
  const Uses& uses_;
  int weight_ = 0, steps_ = 0;
};

}  // namespace

std::optional<std::string> other_reader(const Graph& g, const Uses& uses, ValueId v, NodeId reader) {
  for (const auto& o : g.outputs)
    if (o.value == v) return concat("'", g.at(v).name, "' are the graph output '", o.name, "'");
  for (const NodeId n : uses.of[index(v)])
    if (n != reader) return concat("'", g.at(v).name, "' are also read by ", describe(g.at(n)));
  return std::nullopt;
}

std::optional<Scores> scores_of(const Graph& g, const Uses& uses, NodeId softmax, std::string& reason) {
  Climb climb(g, uses);
  if (climb.up(g.at(softmax).in[0], softmax, 1)) return std::move(climb.found);
  reason = std::move(climb.reason);
  return std::nullopt;
}

}  // namespace tessera
