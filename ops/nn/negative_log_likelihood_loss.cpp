#include <limits>

#include "ops/nn/negative_log_likelihood.h"

namespace tessera {
namespace {

void check_shapes(RewriteContext& c, ValueId log_p) {
  const auto p = c.build.shape(log_p);
  if (!p) return;
  check(p->rank() >= 2, "scores have shape ", *p, ", but need a batch and a class axis");
  Shape expected = *p;
  expected.erase(expected.begin() + 1);
  if (const auto target = c.build.shape(c.in[1]))
    check(*target == expected, "targets of scores ", *p, " have shape ", expected, ", not ", *target);
  if (const auto weights = c.has(2) ? c.build.shape(c.in[2]) : std::nullopt)
    check(*weights == Shape{(*p)[1]}, "there are ", (*p)[1], " classes, but weights of shape ", *weights);
}

// Everything has the shape [N x 1 x d1...] until it is reduced.
class Loss {
 public:
  Loss(RewriteContext& c, ValueId log_p) : c_(c), b_(c.build), log_p_(log_p) {}

  ValueId run() {
    const std::string_view reduction = c_.attr().text("reduction");
    find_targets();
    const ValueId picked = b_.node("GatherElements", {log_p_, target_}, {{"axis", std::int64_t{1}}});
    ValueId loss = only_counted(b_.node("Neg", {picked})), weight = ValueId::none;
    if (c_.has(2)) {
      weight = only_counted(b_.node("Gather", {c_.in[2], target_}));
      loss = b_.node("Mul", {loss, weight});
    }
    if (reduction == "none")
      loss = b_.node("Squeeze", {loss, b_.ints({1})});
    else
      loss = reduction == "sum" ? sum(loss) : mean(loss, weight);
    return b_.cast(loss, b_.dtype(log_p_));
  }

 private:
  ValueId number(std::int64_t n) { return b_.constant(Tensor::scalar(n)); }
  ValueId sum(ValueId v) { return b_.node("ReduceSum", {v}, {{"keepdims", std::int64_t{0}}}); }

  // The shape [N x 1 x d1...]. Taken from log_p, it refuses too few targets where shapes are known during the run only.
  ValueId one_class() {
    if (const auto known = b_.shape(log_p_)) {
      Shape sizes = *known;
      sizes[1] = 1;
      return b_.ints(sizes);
    }
    return b_.node("ScatterElements", {b_.node("Shape", {log_p_}), b_.ints({1}), b_.ints({1})});
  }

  // ignored_ and target_, the class to read; 0 where it is ignored, since what is ignored may be no class.
  void find_targets() {
    target_ = b_.node("Reshape", {b_.cast(c_.in[1], DType::i64), one_class()}, {{"allowzero", std::int64_t{1}}});
    if (c_.attr().has("ignore_index")) {
      ignored_ = b_.node("Equal", {target_, number(c_.attr().integer("ignore_index"))});
      target_ = b_.node("Where", {ignored_, number(0), target_});
    }
    // Indices below 0 count from the end; classes do not, so they become an index that is refused.
    const ValueId refused = number(std::numeric_limits<std::int64_t>::min());
    target_ = b_.node("Where", {b_.node("Less", {target_, number(0)}), refused, target_});
  }

  // 0 where the target is ignored. Sixteen-bit floats are taken to f32: the sum over a batch may leave their range.
  ValueId only_counted(ValueId v) {
    v = b_.widened(v);
    return ignored_ == ValueId::none ? v : b_.node("Where", {ignored_, b_.scalar_like(v, 0), v});
  }

  ValueId mean(ValueId loss, ValueId weight) {
    if (weight == ValueId::none && ignored_ == ValueId::none)
      return b_.node("ReduceMean", {loss}, {{"keepdims", std::int64_t{0}}});
    if (weight == ValueId::none) weight = b_.cast(b_.node("Not", {ignored_}), b_.dtype(loss));
    return b_.node("Div", {sum(loss), sum(weight)});
  }

  RewriteContext& c_;
  NodeBuilder& b_;
  const ValueId log_p_;
  ValueId target_ = ValueId::none, ignored_ = ValueId::none;
};

}  // namespace

ValueId negative_log_likelihood(RewriteContext& c, ValueId log_p) {
  check_shapes(c, log_p);
  return Loss(c, log_p).run();
}

extern constinit const OpDef op_negative_log_likelihood_loss = define({
    .name = "NegativeLogLikelihoodLoss",
    .since = 22,
    .introduced = 12,
    .doc = "loss[n, d1...] = -weight[t] input[n, t, d1...] with t = target[n, d1...]; 0 where t is ignore_index. The "
           "mean divides by the sum of the weights that counted. Imported as GatherElements and arithmetic.",
    .source = "ONNX NegativeLogLikelihoodLoss-22",
    .inputs = {{"input", "T", "[N x C x d1...]: logarithms of probabilities"},
               {"target", "Tind", "[N x d1...]: classes in [0, C), or ignore_index"},
               {"weight", "T", "[C]; default: 1 for all", Presence::optional}},
    .outputs = {{"loss", "T", "[N x d1...] for reduction none, else a scalar"}},
    .attributes =
        {{"ignore_index", AttributeType::integer, {}, "the target that does not count; default: there is none"},
         {"reduction", AttributeType::text, "mean", "over the targets that count", "none|mean|sum"}},
    .types = {{"T", dtypes::floats}, {"Tind", dtypes::indices}},
    .expand = [](RewriteContext& c) { c.become({negative_log_likelihood(c, c.in[0])}); },
});

}  // namespace tessera
