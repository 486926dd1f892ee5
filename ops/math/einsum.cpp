#include <algorithm>
#include <cstring>
#include <map>

#include "ops/equation.h"
#include "ops/strided_copy.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

bool has(const Labels& labels, int l) { return std::find(labels.begin(), labels.end(), l) != labels.end(); }

std::vector<Shape> shapes_of(std::span<const TensorType> types) {
  std::vector<Shape> shapes;
  for (const auto& t : types) shapes.push_back(t.shape);
  return shapes;
}

// A sum of products of n tensors as contractions of two. Values are numbered: the inputs, then what `ones` and `steps`
// make, in order; the last step writes the output. Labels that one tensor alone has and the result lacks are summed by
// a contraction with ones. No steps: one input, read in another order.
struct Plan {
  struct Step {
    int a, b;
    Shape out;
    Contraction contraction;
  };
  std::vector<Shape> ones;
  std::vector<Step> steps;
  Shape out, from;  // `from`: strides of the one input along the axes of the output

  Plan(std::string_view text, const std::vector<Shape>& shapes);

 private:
  // A tensor not yet used up.
  struct Value {
    int id;
    Labelled view;
  };
  static std::int64_t dim(const Value& v, int label) {  // axes of one element are left out of the views
    const int axis = v.view.find(label);
    return axis < 0 ? 1 : v.view.dims[static_cast<std::size_t>(axis)];
  }
  Labels needed(std::size_t i, std::size_t j) const;
  void sum_alone(std::size_t i);
  void contract(std::size_t i, std::size_t j);
  std::pair<std::size_t, std::size_t> cheapest() const;
  Equation equation_;
  std::vector<Value> values_;
  int next_ = 0;
};

Plan::Plan(std::string_view text, const std::vector<Shape>& shapes) : equation_(parse_equation(text, shapes)) {
  out = equation_.dims(equation_.out);
  for (std::size_t i = 0; i < shapes.size(); ++i)
    values_.push_back({next_++, diagonal_view(equation_.in[i], shapes[i])});
  next_ += static_cast<int>(shapes.size());  // every input may need ones, all numbered before the steps
  for (std::size_t i = 0; i < shapes.size(); ++i) sum_alone(i);
  while (values_.size() > 1) {
    const auto [i, j] = cheapest();
    contract(i, j);
  }
  for (const int l : equation_.out) {
    const int axis = values_[0].view.find(l);
    from.push_back(axis < 0 ? 0 : values_[0].view.strides[static_cast<std::size_t>(axis)]);
  }
}

// Labels of values i and j that the result or another value has, in the order of the result where nothing else is left.
Labels Plan::needed(std::size_t i, std::size_t j) const {
  if (values_.size() == (i == j ? 1u : 2u)) return equation_.out;
  Labels kept;
  for (const auto at : {i, j})
    for (const int l : values_[at].view.labels) {
      bool wanted = has(equation_.out, l);
      for (std::size_t o = 0; o < values_.size() && !wanted; ++o)
        wanted = o != i && o != j && values_[o].view.find(l) >= 0;
      if (wanted && !has(kept, l)) kept.push_back(l);
    }
  return kept;
}

void Plan::sum_alone(std::size_t i) {
  auto& v = values_[i];
  Labels alone;
  Shape dims;
  const Labels kept = needed(i, i);
  for (std::size_t axis = 0; axis < v.view.labels.size(); ++axis) {
    if (has(kept, v.view.labels[axis])) continue;
    alone.push_back(v.view.labels[axis]);
    dims.push_back(v.view.dims[axis]);
  }
  ones.push_back(dims);
  if (alone.empty()) return;
  Shape left;
  for (const int l : kept) left.push_back(dim(v, l));
  const Labelled result = row_major(kept, left);
  const int of_ones = static_cast<int>(equation_.in.size() + i);
  steps.push_back({v.id, of_ones, left, Contraction(v.view, row_major(alone, dims), result)});
  v = {next_++, result};
}

void Plan::contract(std::size_t i, std::size_t j) {
  const Labels kept = needed(i, j);
  Shape dims;
  for (const int l : kept) dims.push_back(dim(values_[i], l) != 1 ? dim(values_[i], l) : dim(values_[j], l));
  const Labelled result = row_major(kept, dims);
  steps.push_back({values_[i].id, values_[j].id, dims, Contraction(values_[i].view, values_[j].view, result)});
  values_[i] = {next_++, result};
  values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(j));
}

// The pair whose contraction has the fewest multiplications; the first of equals.
std::pair<std::size_t, std::size_t> Plan::cheapest() const {
  std::pair<std::size_t, std::size_t> best{0, 1};
  double least = -1;
  for (std::size_t i = 0; i < values_.size(); ++i)
    for (std::size_t j = i + 1; j < values_.size(); ++j) {
      double cost = 1;
      for (const int l : values_[i].view.labels) cost *= static_cast<double>(equation_.size(l));
      for (const int l : values_[j].view.labels)
        if (values_[i].view.find(l) < 0) cost *= static_cast<double>(equation_.size(l));
      if (least >= 0 && cost >= least) continue;
      least = cost;
      best = {i, j};
    }
  return best;
}

// The type to compute in: small integers in 32 bits (the low bits are the same); between several steps sixteen-bit
// floats are not rounded.
DType working_type(DType t, const Plan& plan) {
  switch (t) {
    case DType::i8:
    case DType::i16:
      return DType::i32;
    case DType::u8:
    case DType::u16:
      return DType::u32;
    case DType::f16:
    case DType::bf16:
      return plan.steps.size() > 1 ? DType::f32 : t;
    default:
      return t;
  }
}

Tensor filled_with_ones(DType dtype, const Shape& shape) {
  Tensor t(DType::f64, shape);
  for (auto& x : t.write<double>()) x = 1;
  return converted(t, dtype);
}

Tensor identity(DType dtype, std::int64_t n) {
  Tensor t = Tensor::zeros(DType::f64, {n, n});
  for (std::int64_t i = 0; i < n; ++i) t.write<double>()[static_cast<std::size_t>(i * (n + 1))] = 1;
  return converted(t, dtype);
}

struct Prepared {
  Plan plan;
  DType working;
  std::vector<Tensor> ones;
};

std::shared_ptr<const void> prepare(const PrepareContext& c) {
  Plan plan(c.attr.text("equation"), shapes_of(c.in));
  const DType working = working_type(c.in[0].dtype, plan);
  std::vector<Tensor> ones;
  for (const auto& shape : plan.ones) ones.push_back(filled_with_ones(working, shape));
  return std::make_shared<Prepared>(Prepared{std::move(plan), working, std::move(ones)});
}

void kernel(const KernelContext& k) {
  const auto& [plan, working, ones] = k.state<Prepared>();
  const DType dtype = k.out(0).dtype();
  if (plan.steps.empty())
    return strided_copy(dtype, plan.out, k.in(0).raw(), plan.from, k.out(0).raw(), row_major_strides(plan.out));
  std::vector<Tensor> values;
  for (int i = 0; i < k.inputs(); ++i) values.push_back(dtype == working ? k.in(i) : converted(k.in(i), working));
  values.insert(values.end(), ones.begin(), ones.end());
  for (const auto& step : plan.steps) {
    const bool last = &step == &plan.steps.back();
    values.push_back(last && dtype == working ? k.out(0) : Tensor(working, step.out));
    auto& a = values[static_cast<std::size_t>(step.a)];
    auto& b = values[static_cast<std::size_t>(step.b)];
    step.contraction.run(working, a.raw(), b.raw(), values.back().raw());
    a = b = Tensor();  // every value is used once
  }
  if (dtype == working) return;
  const Tensor result = converted(values.back(), dtype);
  if (result.bytes() > 0) std::memcpy(k.out(0).raw(), result.raw(), result.bytes());
}

void shape(ShapeContext& c) {
  std::vector<Shape> shapes;
  for (int i = 0; i < c.inputs(); ++i) shapes.push_back(c.in(i));
  const Equation e = parse_equation(c.attr.text("equation"), shapes);
  c.out(0, e.dims(e.out));
}

double flops(const ShapeContext& c) {
  std::vector<Shape> shapes;
  for (int i = 0; i < c.inputs(); ++i) shapes.push_back(c.in(i));
  double sum = 0;
  for (const auto& step : Plan(c.attr.text("equation"), shapes).steps) sum += step.contraction.flops();
  return sum;
}

std::string letter(int label) { return std::string(1, static_cast<char>(label < 26 ? 'A' + label : 'a' + label - 26)); }

// Writes equations with letters of its own: the labels of the forward equation in order of use, then fresh ones.
class Letters {
 public:
  std::string of(const Labels& labels) {
    std::string text;
    for (const int l : labels) {
      auto [at, fresh] = given_.try_emplace(l, next_);
      next_ += fresh;
      text += letter(at->second);
    }
    check(next_ <= 52, Code::unsupported, "the gradient of the equation needs more than 52 letters");
    return text;
  }

 private:
  std::map<int, int> given_;
  int next_ = 0;
};

// The gradient of input i is an Einsum of dY and the other inputs that gives i's labels. A label of i that none of them
// has in full was summed over: the gradient is repeated along it by ones. A repeated label was a diagonal: the gradient
// is put back on it by an identity matrix. Axes along which i was broadcast are summed over.
ValueId gradient_of(GradContext& g, const Equation& e, int i) {
  constexpr int fresh = 1000;
  const auto& labels = e.in[static_cast<std::size_t>(i)];
  const Shape dims = *g.shape(g.in(i));
  Letters letters;
  std::vector<ValueId> in{g.dout(0)};
  std::string text = letters.of(e.out);
  Labels full = e.out;  // labels that some operand of the new equation has with all its elements
  for (int o = 0; o < g.inputs(); ++o) {
    if (o == i) continue;
    const auto& other = e.in[static_cast<std::size_t>(o)];
    in.push_back(g.in(o));
    text += concat(",", letters.of(other));
    for (std::size_t a = 0; a < other.size(); ++a)
      if ((*g.shape(g.in(o)))[a] == e.size(other[a])) full.push_back(other[a]);
  }
  Labels target;
  const DType dtype = g.dtype(g.in(i));
  for (std::size_t a = 0; a < labels.size(); ++a) {
    const int l = labels[a];
    if (dims[a] != e.size(l)) continue;
    if (has(target, l)) {
      const int second = fresh + static_cast<int>(a);
      in.push_back(g.constant(identity(dtype, dims[a])));
      text += concat(",", letters.of({l, second}));
      target.push_back(second);
      continue;
    }
    if (!has(full, l)) {
      in.push_back(g.constant(filled_with_ones(dtype, {dims[a]})));
      text += concat(",", letters.of({l}));
    }
    target.push_back(l);
  }
  const ValueId d = g.node("Einsum", in, {{"equation", text + "->" + letters.of(target)}});
  return target.size() == labels.size() ? d : reshaped(g, d, dims);
}

std::vector<ValueId> gradient(GradContext& g) {
  std::vector<Shape> shapes;
  for (int i = 0; i < g.inputs(); ++i) shapes.push_back(*g.shape(g.in(i)));
  const Equation e = parse_equation(g.attr().text("equation"), shapes);
  std::vector<ValueId> d(shapes.size(), ValueId::none);
  for (int i = 0; i < g.inputs(); ++i)
    if (g.needs(i)) d[static_cast<std::size_t>(i)] = gradient_of(g, e, i);
  return d;
}

}  // namespace

extern constinit const OpDef op_einsum = define({
    .name = "Einsum",
    .since = 12,
    .introduced = 12,
    .doc = "The sum of products that the equation describes: \"ij,jk->ik\". A label that the result lacks is summed "
           "over, a "
           "label repeated in one term is a diagonal, '...' stands for any axes, aligned at the right and broadcast. "
           "Without '->' the result has the ellipsis, then the letters that occur once in order, capitals first.",
    .source = "ONNX Einsum-12; numpy.einsum",
    .inputs = {{"Inputs", "T", "one per term of the equation", Presence::variadic}},
    .outputs = {{"Output", "T", "the dims of the result's labels"}},
    .attributes = {{"equation", AttributeType::text, required,
                    "terms joined by ',', then optionally '->' and the result"}},
    .types = {{"T", dtypes::numeric}},
    .shape = shape,
    .flops = flops,
    .prepare = prepare,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}}; {{5, 6}, {7, 8}}; equation=\"ij,jk->ik\" -> {{19, 22}, {43, 50}}",
                 "{{1, 2, 3}, {4, 5, 6}}; equation=\"ij->ji\" -> {{1, 4}, {2, 5}, {3, 6}}",
                 "{{1, 2}, {3, 4}}; equation=\"ii->i\" -> {1, 4}", "{{1, 2}, {3, 4}}; equation=\"ii\" -> 5",
                 "{{1, 2}, {3, 4}}; equation=\"ij->j\" -> {4, 6}", "{{1, 2}}; {3, 4}; equation=\" b A , A \" -> {11}",
                 "{1, 2}; {3, 4, 5}; equation=\"i,j->ij\" -> {{3, 4, 5}, {6, 8, 10}}",
                 "{{{1, 2}}, {{3, 4}}}; {{1, 0}, {0, 2}}; equation=\"...ij,...jk->...ik\" -> {{{1, 4}}, {{3, 8}}}",
                 "{{{{1, 2}}, {{3, 4}}}}; {{{{1, 1}}, {{0, 2}}}}; equation=\"bihd,bjhd->bhij\" -> {{{{3, 4}, {7, 8}}}}",
                 "{{1, 2}, {3, 4}}; {1, 10}; {1, 2}; equation=\"ij,i,j->\" -> 115",
                 "f32[0x2]{}; f32[0x3]{}; equation=\"ki,kj->ij\" -> {{0, 0, 0}, {0, 0, 0}}"},
});

}  // namespace tessera
