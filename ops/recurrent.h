#pragma once
// What RNN, GRU and LSTM share: sizes, the functions of gates, and the walk along a sequence in one direction or both.
// An operator adds its cell: what one step does.
//
// Inputs 0 to 5 of all three are X, W, R, B, sequence_lens, initial_h; outputs 0 and 1 are Y and Y_h. Sixteen-bit
// floats are widened once and rounded at the end. Products of X and W are taken for many steps at once, only those of
// the state and R step by step. Thread rule: directions, products and rows are split by sizes only. Source: ONNX
// RNN-22.
#include "ops/convert.h"
#include "ops/linalg.h"
#include "ops/normalize.h"

namespace tessera {

struct Recurrence {
  std::int64_t steps, batch, inputs, hidden, gates;  // gates: blocks of `hidden` rows in W and in R
  std::int64_t directions;
  bool backward;     // of the only direction
  bool batch_first;  // layout 1

  std::int64_t width() const { return gates * hidden; }
  std::int64_t state() const { return batch * hidden; }
  // Rows of X, of Y (each of `hidden` elements) and of the states.
  std::int64_t x_row(std::int64_t t, std::int64_t b) const { return batch_first ? b * steps + t : t * batch + b; }
  std::int64_t y_row(std::int64_t t, std::int64_t d, std::int64_t b) const {
    return batch_first ? (b * steps + t) * directions + d : (t * directions + d) * batch + b;
  }
  std::int64_t h_row(std::int64_t d, std::int64_t b) const { return batch_first ? b * directions + d : d * batch + b; }
};

// Sizes from attributes and the shapes of X, W and R, which are checked.
Recurrence recurrence(const AttributeReader& attr, const Shape& x, const Shape& w, const Shape& r, std::int64_t gates);

// Shape rule and operations of an operator with so many gates.
void recurrent_shape(ShapeContext& c, std::int64_t gates);
double recurrent_flops(const ShapeContext& c, std::int64_t gates);

// An adaptation to opset 7: output_sequence said that Y is wanted, as its name does.
void without_output_sequence(RewriteContext& c);

// The function of a gate, applied to what `clip` bounds.
struct GateFunction {
  enum class Kind {
    affine,
    elu,
    hard_sigmoid,
    leaky_relu,
    relu,
    scaled_tanh,
    sigmoid,
    softplus,
    softsign,
    tanh,
    thresholded_relu
  };
  Kind kind;
  float alpha, beta;
  float clip;  // largest magnitude of the argument

  template <class C>
  void operator()(C* x, std::int64_t n) const;
};

// Those of the attributes, or `defaults` once per direction.
std::vector<GateFunction> gate_functions(const AttributeReader& attr, std::int64_t directions,
                                         std::initializer_list<GateFunction::Kind> defaults);

// Operands of one direction, in the type of the calculation; null where absent.
template <class C>
struct RecurrentOperands {
  const C *w, *r, *bias_r, *peepholes;  // [gates*hidden x inputs], [gates*hidden x hidden], vectors
  const GateFunction* functions;
};

// to [batch x count*hidden, rows `pitch` apart] (+)= h [batch x hidden] times the transposed rows of R from gate
// `first` on; `addend`, if not null, is added to each row.
template <class C>
void multiply_state(const Recurrence& s, const C* r, std::int64_t first, std::int64_t count, const C* h, C* to,
                    std::int64_t pitch, bool accumulate, const C* addend = nullptr) {
  Product p;
  p.m = s.batch, p.n = count * s.hidden, p.k = s.hidden;
  p.a = {s.hidden}, p.b = {s.hidden, true}, p.c = {pitch};
  p.accumulate = accumulate;
  p.addend = addend, p.addend_columns = 1;
  product(dtype_of<C>, p, h, r + first * s.hidden * s.hidden, to);
}

// body(b) for each sequence of the batch.
template <class F>
void for_each_sequence(const Recurrence& s, F body) {
  run_parallel(s.batch, row_grain(8 * s.width()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) body(b);
  });
}

// One node. Cell<C> is made of (attributes, sizes, operands of a direction) and has `states`, 1 or 2 (h, or h and c);
// `joined`, the gates for which R's bias is added to W's; and step(gates, state, next): from [batch x width] products
// of X and W with bias, which it may overwrite, and state[i] [batch x hidden] to next[i].
template <template <class> class Cell, class C>
class RecurrentRun {
 public:
  RecurrentRun(const KernelContext& k, const Recurrence& s, std::vector<GateFunction> functions)
      : k_(k), s_(s), functions_(std::move(functions)), w_(wide(1)), r_(wide(2)), bias_(wide(3)), peepholes_(wide(7)) {
    x_ = wide(0);
    for (int i = 0; i < Cell<C>::states; ++i) initial_[i] = wide(5 + i);
    for (int i = 0; i < 1 + Cell<C>::states; ++i)
      if (k.wants(i)) out_[i] = same_type() ? k.out(i) : Tensor(dtype_of<C>, k.out(i).shape());
    if (k.has(4))
      for (const auto n : k.in(4).read<std::int32_t>()) {
        check(0 <= n && n <= s.steps, "sequence_lens has ", n, " for sequences of ", s.steps, " steps");
        lengths_.push_back(n);
      }
    lengths_.resize(static_cast<std::size_t>(s.batch), s.steps);
  }

  void run() {
    run_parallel(s_.directions, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t d = begin; d < end; ++d) walk(d);
    });
    for (int i = 0; i < 1 + Cell<C>::states; ++i)
      if (k_.wants(i) && !same_type()) convert_elements(out_[i], k_.out(i));
  }

 private:
  static constexpr std::int64_t kRows = 256;  // of X multiplied with W at once

  bool same_type() const { return k_.in(0).dtype() == dtype_of<C>; }
  Tensor wide(int i) const {
    if (!k_.has(i)) return {};
    return same_type() ? k_.in(i) : converted(k_.in(i), dtype_of<C>);
  }
  // Part `d` of a tensor of as many equal parts as there are directions.
  const C* part(const Tensor& t, std::int64_t d) const {
    return t ? static_cast<const C*>(t.raw()) + d * (t.size() / s_.directions) : nullptr;
  }
  // Step s of a sequence reads and writes this time; what lies behind the sequence's end is passed in its order.
  std::int64_t time(std::int64_t d, std::int64_t b, std::int64_t s) const {
    const std::int64_t n = lengths_[static_cast<std::size_t>(b)];
    return s < n && (s_.backward || d == 1) ? n - 1 - s : s;
  }

  void walk(std::int64_t d) {
    constexpr int states = Cell<C>::states;
    const C* const bias = part(bias_, d);
    const std::int64_t width = s_.width();
    const RecurrentOperands<C> operands{
        part(w_, d), part(r_, d), bias ? bias + width : nullptr, part(peepholes_, d),
        functions_.data() +
            static_cast<std::size_t>(d) * (functions_.size() / static_cast<std::size_t>(s_.directions))};
    const Cell<C> cell(k_.attr, s_, operands);
    const std::int64_t chunk =
        std::clamp<std::int64_t>(kRows / std::max<std::int64_t>(s_.batch, 1), 1, std::max<std::int64_t>(s_.steps, 1));
    const Scratch<C> memory(2 * states * s_.state() + width + chunk * s_.batch * (s_.inputs + width));
    C *state[states], *next[states];
    C* at = memory.data();
    for (int i = 0; i < states; ++i) state[i] = at, next[i] = at + s_.state(), at += 2 * s_.state();
    C *const sum = at, *const x = sum + width, *const gates = x + chunk * s_.batch * s_.inputs;
    for (std::int64_t j = 0; j < width; ++j)
      sum[j] = bias ? bias[j] + (j < cell.joined * s_.hidden ? bias[width + j] : C(0)) : C(0);
    for (int i = 0; i < states; ++i)
      for (std::int64_t b = 0; b < s_.batch; ++b) {
        if (initial_[i])
          std::copy_n(initial_[i].template read<C>().data() + s_.h_row(d, b) * s_.hidden, s_.hidden,
                      state[i] + b * s_.hidden);
        else
          std::fill_n(state[i] + b * s_.hidden, s_.hidden, C(0));
      }
    for (std::int64_t first = 0; first < s_.steps; first += chunk) {
      const std::int64_t n = std::min(chunk, s_.steps - first);
      multiply_inputs(d, first, n, operands.w, sum, x, gates);
      for (std::int64_t s = 0; s < n; ++s) {
        cell.step(gates + s * s_.batch * width, state, next);
        commit(d, first + s, state, next);
      }
    }
    for (int i = 0; i < states; ++i)
      for (std::int64_t b = 0; b < s_.batch && out_[1 + i]; ++b)
        std::copy_n(state[i] + b * s_.hidden, s_.hidden,
                    out_[1 + i].template write<C>().data() + s_.h_row(d, b) * s_.hidden);
  }

  // gates [n x batch x width] = the rows of X that n steps read, times the transposed W, + sum.
  void multiply_inputs(std::int64_t d, std::int64_t first, std::int64_t n, const C* w, const C* sum, C* x, C* gates) {
    for (std::int64_t s = 0; s < n; ++s)
      for (std::int64_t b = 0; b < s_.batch; ++b)
        std::copy_n(static_cast<const C*>(x_.raw()) + s_.x_row(time(d, b, first + s), b) * s_.inputs, s_.inputs,
                    x + (s * s_.batch + b) * s_.inputs);
    Product p;
    p.m = n * s_.batch, p.n = s_.width(), p.k = s_.inputs;
    p.a = {s_.inputs}, p.b = {s_.inputs, true}, p.c = {s_.width()};
    p.addend = sum, p.addend_columns = 1;
    product(dtype_of<C>, p, x, w, gates);
  }

  // Sequences that go on take their next state; Y is zero behind the others.
  void commit(std::int64_t d, std::int64_t s, C* const* state, C* const* next) {
    const std::int64_t n = s_.hidden;
    for (std::int64_t b = 0; b < s_.batch; ++b) {
      const bool goes_on = s < lengths_[static_cast<std::size_t>(b)];
      for (int i = 0; i < Cell<C>::states && goes_on; ++i) std::copy_n(next[i] + b * n, n, state[i] + b * n);
      if (!out_[0]) continue;
      C* const y = out_[0].template write<C>().data() + s_.y_row(time(d, b, s), d, b) * n;
      if (goes_on)
        std::copy_n(next[0] + b * n, n, y);
      else
        std::fill_n(y, n, C(0));
    }
  }

  const KernelContext& k_;
  const Recurrence s_;
  const std::vector<GateFunction> functions_;
  const Tensor w_, r_, bias_, peepholes_;
  Tensor x_, initial_[2], out_[3];
  std::vector<std::int64_t> lengths_;
};

template <template <class> class Cell>
void run_recurrence(const KernelContext& k, std::int64_t gates, std::initializer_list<GateFunction::Kind> defaults) {
  const Recurrence s = recurrence(k.attr, k.in(0).shape(), k.in(1).shape(), k.in(2).shape(), gates);
  if (k.in(0).dtype() == DType::f64)
    RecurrentRun<Cell, double>(k, s, gate_functions(k.attr, s.directions, defaults)).run();
  else
    RecurrentRun<Cell, float>(k, s, gate_functions(k.attr, s.directions, defaults)).run();
}

}  // namespace tessera
