#include "ops/recurrent.h"

namespace tessera {
namespace {

template <class C>
struct RnnCell {
  static constexpr int states = 1;
  const std::int64_t joined = 1;

  RnnCell(const AttributeReader&, const Recurrence& s, const RecurrentOperands<C>& x) : s_(s), x_(x) {}

  void step(C* sum, const C* const* state, C* const* next) const {
    multiply_state(s_, x_.r, 0, 1, state[0], sum, s_.hidden, true);
    for_each_sequence(s_, [&](std::int64_t b) {
      std::copy_n(sum + b * s_.hidden, s_.hidden, next[0] + b * s_.hidden);
      x_.functions[0](next[0] + b * s_.hidden, s_.hidden);
    });
  }

 private:
  const Recurrence& s_;
  const RecurrentOperands<C>& x_;
};

void kernel(const KernelContext& k) { run_recurrence<RnnCell>(k, 1, {GateFunction::Kind::tanh}); }

}  // namespace

extern constinit const OpDef op_rnn = define({
    .name = "RNN",
    .since = 22,
    .doc = "h' = f(x W + h R + b) along a sequence. Y is 0 behind the end of a sequence.",
    .source = "ONNX RNN-22; Elman 1990",
    .inputs = {{"X", "T", "[L x B x I], or [B x L x I] with layout 1"},
               {"W", "T", "[D x H x I]; D is 2 where both directions are run"},
               {"R", "T", "[D x H x H]"},
               {"B", "T", "[D x 2H]: biases of W, then of R; default 0", Presence::optional},
               {"sequence_lens", "i32", "[B]: steps of each sequence; default L", Presence::optional},
               {"initial_h", "T", "[D x B x H], or [B x D x H] with layout 1; default 0", Presence::optional}},
    .outputs = {{"Y", "T", "[L x D x B x H], or [B x L x D x H] with layout 1", Presence::optional},
                {"Y_h", "T", "as initial_h: h behind the last step", Presence::optional}},
    .attributes = {{"activation_alpha", AttributeType::reals, {}, "of the functions that have one, in their order"},
                   {"activation_beta", AttributeType::reals, {}, "likewise"},
                   {"activations", AttributeType::texts, {}, "f per direction; default Tanh"},
                   {"clip", AttributeType::real, {}, "bound of the function's argument; default none"},
                   {"direction", AttributeType::text, "forward", "which way along the sequence",
                    "forward|reverse|bidirectional"},
                   {"hidden_size", AttributeType::integer, {}, "H; must be that of R"},
                   {"layout", AttributeType::integer, 0, "1: the batch axis comes first"}},
    .types = {{"T", dtypes::floats}},
    .shape = [](ShapeContext& c) { recurrent_shape(c, 1); },
    .flops = [](const ShapeContext& c) { return recurrent_flops(c, 1); },
    .kernel = kernel,
    .gradient = gradient_missing,
    .adapt = {{7, without_output_sequence}},
    .examples = {"{{{1}}, {{2}}}; {{{0.5}, {-0.25}}}; {{{0.5, 0.25}, {-0.5, 1}}} -> "
                 "{{{{0.4621172, -0.2449187}}}, {{{0.8242173, -0.7513192}}}}; {{{0.8242173, -0.7513192}}}",
                 "{{{1}, {2}}, {{3}, {4}}, {{5}, {6}}}; {{{1}}, {{2}}}; {{{0.5}}, {{0.25}}}; _; i32{3, 1}; "
                 "direction=\"bidirectional\"; activations=[\"Relu\", \"Relu\"] -> "
                 "{{{{1}, {2}}, {{4.125}, {4}}}, {{{3.5}, {0}}, {{8.5}, {0}}}, {{{6.75}, {0}}, {{10}, {0}}}}; "
                 "{{{6.75}, {2}}, {{4.125}, {4}}}"},
});

}  // namespace tessera
