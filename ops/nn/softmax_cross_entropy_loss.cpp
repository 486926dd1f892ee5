#include "ops/nn/negative_log_likelihood.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  const ValueId log_p = c.build.node("LogSoftmax", {c.in[0]}, {{"axis", std::int64_t{1}}});
  c.become({negative_log_likelihood(c, log_p), log_p});
}

}  // namespace

extern constinit const OpDef op_softmax_cross_entropy_loss = define({
    .name = "SoftmaxCrossEntropyLoss",
    .since = 13,
    .introduced = 12,
    .doc = "NegativeLogLikelihoodLoss of log_prob = LogSoftmax(scores) along the classes; imported as both.",
    .source = "ONNX SoftmaxCrossEntropyLoss-13",
    .inputs = {{"scores", "T", "[N x C x d1...]"},
               {"labels", "Tind", "[N x d1...]: classes in [0, C), or ignore_index"},
               {"weights", "T", "[C]; default: 1 for all", Presence::optional}},
    .outputs = {{"output", "T", "[N x d1...] for reduction none, else a scalar"},
                {"log_prob", "T", "shape of scores", Presence::optional}},
    .attributes =
        {{"ignore_index", AttributeType::integer, {}, "the label that does not count; default: there is none"},
         {"reduction", AttributeType::text, "mean", "over the targets that count", "none|mean|sum"}},
    .types = {{"T", dtypes::floats}, {"Tind", dtypes::indices}},
    .expand = expand,
});

}  // namespace tessera
