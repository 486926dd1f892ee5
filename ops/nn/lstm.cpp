#include "ops/recurrent.h"

namespace tessera {
namespace {

constexpr std::int64_t gates = 4;  // i, o, f, c

template <class C>
struct LstmCell {
  static constexpr int states = 2;
  const std::int64_t joined = gates;

  LstmCell(const AttributeReader& attr, const Recurrence& s, const RecurrentOperands<C>& x)
      : s_(s), x_(x), coupled_(attr.flag("input_forget")) {}

  void step(C* gate, const C* const* state, C* const* next) const {
    multiply_state(s_, x_.r, 0, gates, state[0], gate, s_.width(), true);
    for_each_sequence(s_, [&](std::int64_t b) {
      const std::int64_t n = s_.hidden;
      C *const i = gate + b * s_.width(), *const o = i + n, *const f = o + n, *const g = f + n;
      const C* const c = state[1] + b * n;
      C *const h_next = next[0] + b * n, *const c_next = next[1] + b * n;
      const auto &gate_function = x_.functions[0], &cell_function = x_.functions[1], &output_function = x_.functions[2];
      look(0, c, i), look(2, c, f);
      gate_function(i, n), cell_function(g, n);
      if (coupled_)
        std::transform(i, i + n, f, [](C x) { return C(1) - x; });
      else
        gate_function(f, n);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) h_next[j] = c_next[j] = f[j] * c[j] + i[j] * g[j];
      look(1, c_next, o);
      gate_function(o, n), output_function(h_next, n);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) h_next[j] *= o[j];
    });
  }

 private:
  // The peephole of a gate: it sees the cell.
  void look(std::int64_t which, const C* c, C* gate) const {
    if (!x_.peepholes) return;
    const C* const p = x_.peepholes + which * s_.hidden;
    for (std::int64_t j = 0; j < s_.hidden; ++j) gate[j] += p[j] * c[j];
  }

  const Recurrence& s_;
  const RecurrentOperands<C>& x_;
  const bool coupled_;
};

void kernel(const KernelContext& k) {
  using enum GateFunction::Kind;
  run_recurrence<LstmCell>(k, gates, {sigmoid, tanh, tanh});
}

}  // namespace

extern constinit const OpDef op_lstm = define({
    .name = "LSTM",
    .since = 22,
    .doc = "Long short-term memory along a sequence, with weights in the order of the gates i, o, f, c: "
           "i = f(x Wi + h Ri + Pi c + b), f likewise (1 - i with input_forget), c' = f c + i g(x Wc + h Rc + b), "
           "o = f(x Wo + h Ro + Po c' + b), h' = o h(c'). Y is 0 behind the end of a sequence.",
    .source = "ONNX LSTM-22; Hochreiter & Schmidhuber 1997; peepholes: Gers & Schmidhuber 2000",
    .inputs = {{"X", "T", "[L x B x I], or [B x L x I] with layout 1"},
               {"W", "T", "[D x 4H x I]; D is 2 where both directions are run"},
               {"R", "T", "[D x 4H x H]"},
               {"B", "T", "[D x 8H]: biases of W, then of R; default 0", Presence::optional},
               {"sequence_lens", "i32", "[B]: steps of each sequence; default L", Presence::optional},
               {"initial_h", "T", "[D x B x H], or [B x D x H] with layout 1; default 0", Presence::optional},
               {"initial_c", "T", "as initial_h", Presence::optional},
               {"P", "T", "[D x 3H]: peepholes of i, o, f; default 0", Presence::optional}},
    .outputs = {{"Y", "T", "[L x D x B x H], or [B x L x D x H] with layout 1", Presence::optional},
                {"Y_h", "T", "as initial_h: h behind the last step", Presence::optional},
                {"Y_c", "T", "as initial_h: c behind the last step", Presence::optional}},
    .attributes = {{"activation_alpha", AttributeType::reals, {}, "of the functions that have one, in their order"},
                   {"activation_beta", AttributeType::reals, {}, "likewise"},
                   {"activations", AttributeType::texts, {}, "f, g, h per direction; default Sigmoid, Tanh, Tanh"},
                   {"clip", AttributeType::real, {}, "bound of the functions' arguments; default none"},
                   {"direction", AttributeType::text, "forward", "which way along the sequence",
                    "forward|reverse|bidirectional"},
                   {"hidden_size", AttributeType::integer, {}, "H; must be that of R"},
                   {"input_forget", AttributeType::integer, 0, "1: f = 1 - i"},
                   {"layout", AttributeType::integer, 0, "1: the batch axis comes first"}},
    .types = {{"T", dtypes::floats}},
    .shape = [](ShapeContext& c) { recurrent_shape(c, gates); },
    .flops = [](const ShapeContext& c) { return recurrent_flops(c, gates); },
    .kernel = kernel,
    .gradient = gradient_missing,
    .adapt = {{7, without_output_sequence}},
    .examples = {"{{{1}}, {{2}}}; {{{0.5}, {-0.25}, {0.25}, {1}}}; {{{0.5}, {0.25}, {-0.5}, {0.5}}} -> "
                 "{{{{0.1932881}}}, {{{0.2980982}}}}; {{{0.2980982}}}; {{{1.011531}}}",
                 "{{{1}}, {{2}}}; {{{0.5}, {-0.25}, {0.25}, {1}}}; {{{0.5}, {0.25}, {-0.5}, {0.5}}}; input_forget=1; "
                 "hidden_size=1 -> "
                 "{{{{0.1932881}}}, {{{0.2679895}}}}; _; {{{0.8460241}}}",
                 "{{{1}}, {{2}}}; {{{0.5}, {-0.25}, {0.25}, {1}}}; {{{0.5}, {0.25}, {-0.5}, {0.5}}}; "
                 "{{0.5, 0, 0.25, 0, 0, 0.5, 0, -0.5}}; _; {{{0.5}}}; {{{-1}}}; {{0.5, 0.25, 1}} -> "
                 "{{{{0.06599135}}}, {{{0.3793234}}}}; {{{0.3793234}}}; {{{0.8333476}}}"},
});

}  // namespace tessera
