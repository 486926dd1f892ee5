#include "ops/recurrent.h"

namespace tessera {
namespace {

constexpr std::int64_t gates = 3;  // z, r, h

template <class C>
struct GruCell {
  static constexpr int states = 1;
  const std::int64_t joined;

  GruCell(const AttributeReader& attr, const Recurrence& s, const RecurrentOperands<C>& x)
      : joined(attr.flag("linear_before_reset") ? 2 : gates), s_(s), x_(x) {}

  void step(C* gate, const C* const* state, C* const* next) const {
    const std::int64_t n = s_.hidden;
    const bool linear_first = joined < gates;
    const Scratch<C> reset(s_.state());  // r h, or h R + b
    multiply_state(s_, x_.r, 0, 2, state[0], gate, s_.width(), true);
    if (linear_first)
      multiply_state(s_, x_.r, 2, 1, state[0], reset.data(), n, false, x_.bias_r ? x_.bias_r + 2 * n : nullptr);
    for_each_sequence(s_, [&](std::int64_t b) {
      C *const zr = gate + b * s_.width(), *const r = zr + n, *const h = r + n, *const t = reset.data() + b * n;
      const C* const former = state[0] + b * n;
      x_.functions[0](zr, 2 * n);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) {
        if (linear_first)
          h[j] += r[j] * t[j];
        else
          t[j] = r[j] * former[j];
      }
    });
    if (!linear_first) multiply_state(s_, x_.r, 2, 1, reset.data(), gate + 2 * n, s_.width(), true);
    for_each_sequence(s_, [&](std::int64_t b) {
      C *const z = gate + b * s_.width(), *const h = z + 2 * n, *const to = next[0] + b * n;
      const C* const former = state[0] + b * n;
      x_.functions[1](h, n);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) to[j] = (C(1) - z[j]) * h[j] + z[j] * former[j];
    });
  }

 private:
  const Recurrence& s_;
  const RecurrentOperands<C>& x_;
};

void kernel(const KernelContext& k) {
  using enum GateFunction::Kind;
  run_recurrence<GruCell>(k, gates, {sigmoid, tanh});
}

}  // namespace

extern constinit const OpDef op_gru = define({
    .name = "GRU",
    .since = 22,
    .doc = "Gated recurrent unit along a sequence, with weights in the order of the gates z, r, h: "
           "z = f(x Wz + h Rz + b), r likewise, h~ = g(x Wh + (r h) Rh + b), or g(x Wh + b + r (h Rh + b)) with "
           "linear_before_reset, h' = (1 - z) h~ + z h. Y is 0 behind the end of a sequence.",
    .source = "ONNX GRU-22; Cho et al. 2014",
    .inputs = {{"X", "T", "[L x B x I], or [B x L x I] with layout 1"},
               {"W", "T", "[D x 3H x I]; D is 2 where both directions are run"},
               {"R", "T", "[D x 3H x H]"},
               {"B", "T", "[D x 6H]: biases of W, then of R; default 0", Presence::optional},
               {"sequence_lens", "i32", "[B]: steps of each sequence; default L", Presence::optional},
               {"initial_h", "T", "[D x B x H], or [B x D x H] with layout 1; default 0", Presence::optional}},
    .outputs = {{"Y", "T", "[L x D x B x H], or [B x L x D x H] with layout 1", Presence::optional},
                {"Y_h", "T", "as initial_h: h behind the last step", Presence::optional}},
    .attributes = {{"activation_alpha", AttributeType::reals, {}, "of the functions that have one, in their order"},
                   {"activation_beta", AttributeType::reals, {}, "likewise"},
                   {"activations", AttributeType::texts, {}, "f, g per direction; default Sigmoid, Tanh"},
                   {"clip", AttributeType::real, {}, "bound of the functions' arguments; default none"},
                   {"direction", AttributeType::text, "forward", "which way along the sequence",
                    "forward|reverse|bidirectional"},
                   {"hidden_size", AttributeType::integer, {}, "H; must be that of R"},
                   {"layout", AttributeType::integer, 0, "1: the batch axis comes first"},
                   {"linear_before_reset", AttributeType::integer, 0, "1: r scales the product, not the state"}},
    .types = {{"T", dtypes::floats}},
    .shape = [](ShapeContext& c) { recurrent_shape(c, gates); },
    .flops = [](const ShapeContext& c) { return recurrent_flops(c, gates); },
    .kernel = kernel,
    .gradient = gradient_missing,
    .adapt = {{7, without_output_sequence}},
    .examples =
        {"{{{1}}, {{2}}}; {{{0.5}, {-0.25}, {1}}}; {{{0.5}, {0.25}, {-0.5}}}; {{0, 0.5, 0.25, 0.5, 0, -0.5}}; _; "
         "{{{0.5}}} -> {{{{0.5085412}}}, {{{0.5698054}}}}; {{{0.5698054}}}",
         "{{{1}}, {{2}}}; {{{0.5}, {-0.25}, {1}}}; {{{0.5}, {0.25}, {-0.5}}}; {{0, 0.5, 0.25, 0.5, 0, -0.5}}; _; "
         "{{{0.5}}}; linear_before_reset=1 -> {{{{0.5372133}}}, {{{0.5974777}}}}; {{{0.5974777}}}"},
});

}  // namespace tessera
