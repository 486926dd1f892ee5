// The registry is the test list: every operator, those of plugins and methods included, is run on its own examples, in
// every element type its table allows, with one and with eight threads, in place and not, on empty and rank-0 tensors,
// and its gradient against central differences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/op/example.h"
#include "runtime/op/infer.h"
#include "tests/support/central_difference.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

std::vector<const OpDef*> with_kernels() {
  std::vector<const OpDef*> ops;
  for (const auto& [key, op] : full_registry())
    if (op->kernel && !op->examples.empty()) ops.push_back(op);
  return ops;
}

std::vector<const Tensor*> pointers(const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> p;
  for (const auto& t : tensors) p.push_back(t ? &t : nullptr);
  return p;
}

std::vector<Tensor> run(const OpDef& op, const Example& e) {
  return evaluate(op, e.attributes, pointers(e.in), static_cast<int>(e.out.size()));
}

// The inputs that share the type variable of the first floating input, brought to `to`.
Example in_type(const OpDef& op, Example e, std::string_view variable, DType to) {
  for (std::size_t i = 0; i < e.in.size(); ++i) {
    const auto& port = op.inputs[std::min(i, op.inputs.size() - 1)];
    if (e.in[i] && port.type == variable) e.in[i] = converted(e.in[i], to);
  }
  return e;
}

class EveryOperator : public testing::TestWithParam<const OpDef*> {};

TEST_P(EveryOperator, gives_what_its_examples_say) {
  const OpDef& op = *GetParam();
  for (const auto text : op.examples) {
    SCOPED_TRACE(text);
    const Example e = parse_example(op, text);
    const auto out = run(op, e);
    for (std::size_t i = 0; i < e.out.size(); ++i) {
      if (e.out[i]) {
        EXPECT_TRUE(close(out[i], e.out[i])) << "output " << i;
      }
    }
  }
}

// Other floating types give the f64 result, rounded. Each type variable of the table is varied by itself.
TEST_P(EveryOperator, agrees_across_floating_types) {
  const OpDef& op = *GetParam();
  for (const auto text : op.examples) {
    SCOPED_TRACE(text);
    const Example e = parse_example(op, text);
    for (const auto& variable : op.types) {
      const auto wide = in_type(op, e, variable.name, DType::f64);
      const bool floating =
          std::any_of(e.in.begin(), e.in.end(), [](const Tensor& t) { return t && t.dtype() == DType::f32; });
      if (!floating || !variable.allowed.has(DType::f64)) continue;
      const auto reference = run(op, wide);
      for (const DType t : {DType::f32, DType::f16, DType::bf16}) {
        if (!variable.allowed.has(t)) continue;
        SCOPED_TRACE(concat(variable.name, " = ", t));
        const auto narrow = in_type(op, e, variable.name, t);
        // Rounding the inputs first: 0.1 in bf16 is another number, and the reference must see the same.
        const auto expected = run(op, in_type(op, narrow, variable.name, DType::f64));
        const auto out = run(op, narrow);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const bool follows = out[i].dtype() == t;
          EXPECT_TRUE(
              close(converted(out[i], expected[i].dtype()), expected[i], tolerance_of(follows ? t : DType::f32)))
              << "output " << i;
        }
      }
    }
  }
}

TEST_P(EveryOperator, writes_over_its_input_where_it_says_so) {
  const OpDef& op = *GetParam();
  for (const auto text : op.examples)
    for (const auto& pair : op.in_place) {
      SCOPED_TRACE(text);
      Example e = parse_example(op, text);
      const auto in = static_cast<std::size_t>(pair.in), out = static_cast<std::size_t>(pair.out);
      if (in >= e.in.size() || out >= e.out.size() || !e.in[in]) continue;
      const auto apart = run(op, e);
      if (apart[out].shape() != e.in[in].shape() || apart[out].dtype() != e.in[in].dtype()) continue;
      // A copy of the input that the kernel reads and writes at once.
      std::vector<Tensor> inputs = e.in, outputs = apart;
      inputs[in] = Tensor(e.in[in].dtype(), e.in[in].shape());
      if (e.in[in].bytes()) std::memcpy(inputs[in].raw(), e.in[in].raw(), e.in[in].bytes());
      for (auto& t : outputs) t = Tensor(t.dtype(), t.shape());
      outputs[out] = inputs[in];
      std::vector<Tensor*> slots;
      for (auto& t : outputs) slots.push_back(&t);
      std::vector<TensorType> in_types, out_types;
      for (const auto& t : inputs) in_types.push_back(t ? TensorType{t.dtype(), t.shape()} : TensorType{});
      for (const auto& t : outputs) out_types.push_back({t.dtype(), t.shape()});
      const auto given = pointers(inputs);
      std::shared_ptr<const void> state;
      if (op.prepare) state = op.prepare(PrepareContext(op, e.attributes, in_types, out_types, given));
      op.kernel(KernelContext(op, e.attributes, given, slots, state.get()));
      for (std::size_t i = 0; i < apart.size(); ++i) EXPECT_TRUE(same_bits(outputs[i], apart[i])) << "output " << i;
    }
}

// The elements of t repeated to fill `shape`.
Tensor filled(const Tensor& t, const Shape& shape) {
  const auto from = doubles(t);
  std::vector<double> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size() && !from.empty(); ++i) values[i] = from[i * 7 % from.size()];
  return converted(Tensor::of<double>(shape, values), t.dtype());
}

// A pointwise operator may be fed any shapes: its example's elements, spread over large, empty and rank-0 tensors.
TEST_P(EveryOperator, that_is_pointwise_takes_any_shape_with_any_number_of_threads) {
  const OpDef& op = *GetParam();
  if (!op.pointwise) return;
  for (const auto text : op.examples) {
    SCOPED_TRACE(text);
    const Example plain = parse_example(op, text);
    bool any = false;
    for (const auto& t : plain.in) any = any || (t && t.size() > 0);
    if (!any) continue;
    for (const Shape& shape : {Shape{3, 41, 517}, Shape{0, 5}, Shape{}, Shape{1, 1, 1}}) {
      SCOPED_TRACE(concat(shape));
      Example e = plain;
      for (auto& t : e.in)
        if (t && t.size() > 0 && t.rank() > 0) t = filled(t, shape);
      std::vector<Tensor> one, many;
      with_threads(1, [&] { one = run(op, e); });
      with_threads(8, [&] { many = run(op, e); });
      for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(same_bits(one[i], many[i])) << "output " << i;
    }
  }
}

TEST_P(EveryOperator, has_the_gradient_that_central_differences_say) {
  const OpDef& op = *GetParam();
  if (op.gradient.is(gradient_missing)) return;
  for (const auto text : op.examples) {
    SCOPED_TRACE(text);
    const Example e = parse_example(op, text);
    std::vector<bool> wanted;
    for (const auto& t : e.out) wanted.push_back(bool(t));
    for (const auto& error : gradient_errors(op, e.attributes, e.in, wanted, {}, full_registry()))
      ADD_FAILURE() << error;
  }
}

TEST(EveryOperatorTable, takes_no_text_but_the_choices_of_an_attribute) {
  int seen = 0;
  for (const auto& [key, op] : full_registry())
    for (const auto& a : op->attributes) {
      const auto known = alternatives(a.choices);
      if (known.empty()) continue;
      SCOPED_TRACE(concat(op->name, ", ", a.name));
      ++seen;
      ASSERT_EQ(a.type, AttributeType::text);
      if (a.fallback.kind == Default::Kind::text) {
        EXPECT_THAT(known, testing::Contains(std::string(a.fallback.text)));
      }
      std::string said;
      try {
        infer_dtypes(*op, {{std::string(a.name), std::string("another")}}, {}, 0);
      } catch (const Error& e) {
        said = e.message();
      }
      EXPECT_THAT(said, testing::HasSubstr(concat("attribute '", a.name, "' must be ", alternatives_text(a.choices),
                                                  ", got 'another'")));
    }
  EXPECT_GE(seen, 30);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOperator, testing::ValuesIn(with_kernels()), [](const auto& info) {
  std::string name(info.param->domain.empty() ? "" : info.param->domain);
  for (auto& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name + std::string(info.param->name);
});

}  // namespace
}  // namespace tessera
