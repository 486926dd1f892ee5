#include "ops/attention/attention_node.h"

#include <algorithm>
#include <cstring>

#include "ops/attention/operand_gradient.h"
#include "ops/attention/run_method.h"
#include "runtime/op/parallel.h"

namespace tessera {
namespace {

namespace at = attention_input;
namespace to = attention_output;

AttentionView<void> view_of(const Tensor& t, const OperandView& v) {
  auto* data = static_cast<std::byte*>(t.raw()) + v.offset * static_cast<std::int64_t>(size_of(t.dtype()));
  return {data, v.strides[0], v.strides[1], v.strides[2]};
}
AttentionView<const void> reading(AttentionView<void> v) {
  return {v.data, v.batch_stride, v.head_stride, v.row_stride};
}

// Heads first, first + step, ... of a view of `element` bytes.
template <class V>
AttentionView<V> heads_of(AttentionView<V> v, std::int64_t first, std::int64_t step, std::size_t element) {
  using Bytes = std::conditional_t<std::is_const_v<V>, const std::byte, std::byte>;
  if (v.data) v.data = static_cast<Bytes*>(v.data) + first * v.head_stride * static_cast<std::int64_t>(element);
  v.head_stride *= step;
  return v;
}

// Calls f(row of the part, row of the whole) for every (batch, head) of the part.
template <class F>
void for_each_head(const HeadRun& heads, std::int64_t batch, std::int64_t all_heads, F f) {
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t i = 0; i < heads.n; ++i) f(b * heads.n + i, b * all_heads + heads.first + i * heads.step);
}

void copy_bytes(void* to, std::int64_t to_row, const void* from, std::int64_t from_row, std::size_t bytes) {
  if (bytes > 0)
    std::memcpy(static_cast<std::byte*>(to) + to_row * static_cast<std::int64_t>(bytes),
                static_cast<const std::byte*>(from) + from_row * static_cast<std::int64_t>(bytes), bytes);
}

// dK and dV of kv heads that several parts read: the first part writes them, the others write apart and are added.
template <class T>
class SharedKeys {
 public:
  SharedKeys(const AttentionShape& shape, AttentionView<T> dk, AttentionView<T> dv)
      : shape_(shape), dk_(dk), dv_(dv), written_(static_cast<std::size_t>(shape.kv_heads)) {}

  void lend(const HeadRun& heads, MethodTensors& t) {
    apart_ = false;
    for (std::int64_t i = 0; i < heads.kv_n; ++i) apart_ = apart_ || written(heads, i);
    if (!apart_) return;
    more_dk_ = Tensor(dtype_of<T>, {shape_.batch, heads.kv_n, shape_.kv_len, shape_.qk_dim});
    more_dv_ = Tensor(dtype_of<T>, {shape_.batch, heads.kv_n, shape_.kv_len, shape_.v_dim});
    t.dk = view_of(more_dk_, onnx_view(more_dk_.shape(), 0, "dK", ""));
    t.dv = view_of(more_dv_, onnx_view(more_dv_.shape(), 0, "dV", ""));
  }
  void take_back(const HeadRun& heads) {
    for (std::int64_t i = 0; i < heads.kv_n; ++i) {
      if (apart_) {
        add(more_dk_, heads, i, dk_, shape_.qk_dim);
        add(more_dv_, heads, i, dv_, shape_.v_dim);
      }
      written(heads, i) = 1;
    }
  }

 private:
  char& written(const HeadRun& heads, std::int64_t i) {
    return written_[static_cast<std::size_t>(heads.kv_first + i * heads.kv_step)];
  }
  void add(const Tensor& more, const HeadRun& heads, std::int64_t i, AttentionView<T> to, std::int64_t dim) {
    using C = Compute<T>;
    const bool first = !written(heads, i);
    const auto from = attention_view<const T>(more, onnx_view(more.shape(), 0, "gradient", ""));
    run_parallel(shape_.batch * shape_.kv_len, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t b = row / shape_.kv_len, j = row % shape_.kv_len;
        const T* x = from.row(b, i, j);
        T* sum = to.row(b, heads.kv_first + i * heads.kv_step, j);
        for (std::int64_t d = 0; d < dim; ++d)
          sum[d] = first ? x[d] : static_cast<T>(static_cast<C>(sum[d]) + static_cast<C>(x[d]));
      }
    });
  }

  const AttentionShape shape_;
  const AttentionView<T> dk_, dv_;
  std::vector<char> written_;
  bool apart_ = false;
  Tensor more_dk_, more_dv_;
};

}  // namespace

AttentionNode::AttentionNode(std::string_view name, AttentionGeometry geometry, MethodPorts ports,
                             const std::function<bool(int)>& has)
    : geometry_(std::move(geometry)), ports_(ports) {
  const auto refuse = [&](bool present, const char* what) { check(!present, "'", name, "' cannot honour ", what); };
  refuse(has(at::mask), "a mask (attn_mask)");
  refuse(has(at::past_key), "a key-value cache (past_key, past_value)");
  refuse(has(at::nonpad_kv_seqlen), "padded keys (nonpad_kv_seqlen)");
  refuse(geometry_.causal, "causality (is_causal)");
  refuse(geometry_.softcap > 0, "softcap");
}

void AttentionNode::add(const HeadRun& heads, const AttentionMethod& method, std::span<const std::int64_t> grid,
                        const Attributes& parameters) {
  AttentionShape shape = geometry_.shape;
  shape.q_heads = heads.n, shape.kv_heads = heads.kv_n;
  auto planned = std::make_unique<const PlannedMethod>(method, shape, geometry_.scale, grid, parameters, heads);
  const std::int64_t size = planned->selects() ? element_count(planned->selection_shape()) : 0;
  parts_.push_back({heads, std::move(planned), selection_size_});
  selection_size_ += size;
}

void AttentionNode::forward_shape(ShapeContext& c, const Shape& selection) const {
  const auto& s = geometry_.shape;
  c.out(to::y, geometry_.y_shape);
  for (const int none : {to::present_key, to::present_value, to::qk}) c.out(none, {0});
  c.out(to::lse, {s.batch, s.q_heads, s.q_len});
  c.out(to::density, {s.batch, s.q_heads});
  c.out(to::selection, selection);
  check_gate(c);
  if (c.has(ports_.frozen()))
    check(c.in(ports_.frozen()) == selection, "selection ", c.in(ports_.frozen()), " must be ", selection);
}

void AttentionNode::backward_shape(ShapeContext& c, const Shape& selection) const {
  const auto& s = geometry_.shape;
  const Shape lse{s.batch, s.q_heads, s.q_len};
  const auto demand = [&](int i, const Shape& expected, const char* what) {
    if (c.has(i)) check(c.in(i) == expected, what, " ", c.in(i), " must be ", expected);
  };
  check_gate(c);
  demand(ports_.y(), geometry_.y_shape, "Y");
  demand(ports_.dy(), geometry_.y_shape, "dY");
  demand(ports_.lse(), lse, "lse");
  demand(ports_.dlse(), lse, "dlse");
  demand(ports_.selection(), selection, "selection");
  for (int i = at::q; i <= at::v; ++i) c.out(i, c.in(i));
  for (int i = 0; i < ports_.own; ++i) {
    const int input = MethodPorts::first_own + i;
    c.out(MethodPorts::first_own_gradient + i, c.has(input) ? c.in(input) : Shape{0});
  }
}

bool AttentionNode::takes_gate() const {
  return ports_.own == 1 && (parts_.empty() || parts_[0].planned->method.inputs.empty());
}

void AttentionNode::check_gate(const ShapeContext& c) const {
  if (takes_gate() && c.has(MethodPorts::first_own))
    check(c.in(MethodPorts::first_own) == geometry_.y_shape, "gate ", c.in(MethodPorts::first_own), " must be ",
          geometry_.y_shape);
}

MethodTensors AttentionNode::operands(const KernelContext& k) const {
  MethodTensors t;
  t.dtype = k.in(at::q).dtype();
  t.q = reading(view_of(k.in(at::q), geometry_.q));
  t.k = reading(view_of(k.in(at::k), geometry_.k));
  t.v = reading(view_of(k.in(at::v), geometry_.v));
  for (int i = MethodPorts::first_own; i < MethodPorts::first_own + ports_.own; ++i) {
    const Tensor* own = k.has(i) ? &k.in(i) : nullptr;
    if (!takes_gate()) t.inputs.push_back(own);
    if (takes_gate() && own) t.gate = reading(view_of(*own, geometry_.y));
  }
  return t;
}

MethodTensors AttentionNode::tensors_of(const Part& part, const MethodTensors& whole) const {
  const HeadRun& h = part.heads;
  const std::size_t element = size_of(whole.dtype);
  MethodTensors t = whole;
  const auto queries = [&](auto& v) { v = heads_of(v, h.first, h.step, element); };
  const auto keys = [&](auto& v) { v = heads_of(v, h.kv_first, h.kv_step, element); };
  queries(t.q), queries(t.y), queries(t.dy), queries(t.dq), queries(t.gate), queries(t.dgate);
  keys(t.k), keys(t.v), keys(t.dk), keys(t.dv);
  if (!part.planned->method.coarse_gate) t.gate = {}, t.dgate = {};
  return t;
}

void AttentionNode::forward(const KernelContext& k) const {
  const auto& s = geometry_.shape;
  MethodTensors whole = operands(k);
  whole.y = view_of(k.out(to::y), geometry_.y);
  const DType wide = whole.dtype == DType::f64 ? DType::f64 : DType::f32;
  const std::size_t row = static_cast<std::size_t>(s.q_len) * size_of(wide);
  for (const Part& part : parts_) {
    const PlannedMethod& planned = *part.planned;
    MethodTensors t = tensors_of(part, whole);
    const bool apart = !k.wants(to::lse) || !serves_all(part);
    const Tensor lse = apart ? Tensor(wide, {s.batch, part.heads.n, s.q_len}) : k.out(to::lse);
    t.lse = lse.raw();
    Selection selection;
    if (planned.selects()) {
      const auto size = static_cast<std::size_t>(element_count(planned.selection_shape()));
      const auto begin = static_cast<std::size_t>(part.selection_begin);
      selection = k.has(ports_.frozen())
                      ? read_selection(planned, k.in(ports_.frozen()).read<std::int32_t>().subspan(begin, size))
                      : select(planned, t);
      if (k.wants(to::selection))
        write_selection(planned, selection, k.out(to::selection).write<std::int32_t>().subspan(begin, size));
    }
    const Selection* chosen = planned.selects() ? &selection : nullptr;
    run_forward(planned, t, chosen);
    const auto density = k.wants(to::density) ? densities(planned, chosen) : std::vector<float>();
    for_each_head(part.heads, s.batch, s.q_heads, [&](std::int64_t from, std::int64_t head) {
      if (apart && k.wants(to::lse)) copy_bytes(k.out(to::lse).raw(), head, lse.raw(), from, row);
      if (k.wants(to::density)) copy_bytes(k.out(to::density).raw(), head, density.data(), from, sizeof(float));
    });
  }
}

void AttentionNode::backward(const KernelContext& k) const {
  with_type(Floats{}, k.in(at::q).dtype(), [&]<class T>(Type<T>) { differentiate<T>(k); });
}

template <class T>
void AttentionNode::differentiate(const KernelContext& k) const {
  const auto& s = geometry_.shape;
  OperandGradient<T> dq(k.out(at::q), geometry_.q), dk(k.out(at::k), geometry_.k), dv(k.out(at::v), geometry_.v);
  const auto erased = [](AttentionView<T> v) {
    return AttentionView<void>{v.data, v.batch_stride, v.head_stride, v.row_stride};
  };
  MethodTensors whole = operands(k);
  whole.y = view_of(k.in(ports_.y()), geometry_.y);
  whole.dy = reading(view_of(k.in(ports_.dy()), geometry_.y));
  whole.dq = erased(dq.view()), whole.dk = erased(dk.view()), whole.dv = erased(dv.view());
  for (int i = 0; i < ports_.own; ++i) {
    const int out = MethodPorts::first_own_gradient + i;
    const bool wanted = k.wants(out) && k.has(MethodPorts::first_own + i);
    if (!takes_gate()) whole.dinputs.push_back(wanted ? &k.out(out) : nullptr);
    if (!takes_gate() || !wanted) continue;
    whole.dgate = view_of(k.out(out), geometry_.y);
    const bool everywhere =
        std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.planned->method.coarse_gate; });
    if (!everywhere && k.out(out).bytes() > 0) std::memset(k.out(out).raw(), 0, k.out(out).bytes());
  }

  const DType wide = dtype_of<Compute<T>>;
  const Tensor all_lse = converted(k.in(ports_.lse()), wide),
               all_dlse = k.has(ports_.dlse()) ? converted(k.in(ports_.dlse()), wide) : Tensor();
  for (const int i : {at::k, at::v})  // no query head reads the keys
    if (parts_.empty() && k.out(i).bytes() > 0) std::memset(k.out(i).raw(), 0, k.out(i).bytes());
  SharedKeys<T> keys(s, dk.view(), dv.view());
  for (const Part& part : parts_) {
    MethodTensors t = tensors_of(part, whole);
    const Tensor lse = rows_of(part, all_lse), dlse = all_dlse ? rows_of(part, all_dlse) : Tensor();
    t.lse = lse.raw(), t.dlse = dlse.raw();
    Selection selection;
    if (part.planned->selects()) {
      const auto size = static_cast<std::size_t>(element_count(part.planned->selection_shape()));
      const auto all = k.in(ports_.selection()).read<std::int32_t>();
      selection = read_selection(*part.planned, all.subspan(static_cast<std::size_t>(part.selection_begin), size));
    }
    keys.lend(part.heads, t);
    run_backward(*part.planned, t, part.planned->selects() ? &selection : nullptr);
    keys.take_back(part.heads);
  }
  dq.finish(), dk.finish(), dv.finish();
}

Tensor AttentionNode::rows_of(const Part& part, const Tensor& lse) const {
  if (serves_all(part)) return lse;
  Tensor rows(lse.dtype(), {geometry_.shape.batch, part.heads.n, geometry_.shape.q_len});
  const std::size_t row = static_cast<std::size_t>(geometry_.shape.q_len) * size_of(lse.dtype());
  for_each_head(part.heads, geometry_.shape.batch, geometry_.shape.q_heads,
                [&](std::int64_t to, std::int64_t head) { copy_bytes(rows.raw(), to, lse.raw(), head, row); });
  return rows;
}

double AttentionNode::flops(bool gated) const {
  double sum = 0;
  for (const Part& part : parts_) sum += part.planned->flops(gated && part.planned->method.coarse_gate);
  return sum;
}

std::vector<ValueId> attention_node_gradient(GradContext& g, MethodPorts ports) {
  const auto given = [&](int i) { return g.has(i) ? g.in(i) : ValueId::none; };
  std::vector<ValueId> in;
  for (int i = 0; i < MethodPorts::first_own + ports.own; ++i) in.push_back(given(i));
  in.insert(in.end(),
            {g.out(to::y), g.out(to::lse), g.dout(to::y), g.has_dout(to::lse) ? g.dout(to::lse) : ValueId::none});
  if (g.op().outputs.size() > to::selection) in.push_back(g.out(to::selection));
  const auto out = g.nodes(concat(g.op().domain, "::", g.op().name, "Grad"), std::move(in), g.attr().all(),
                           MethodPorts::first_own_gradient + ports.own);
  std::vector<ValueId> gradients(static_cast<std::size_t>(g.inputs()), ValueId::none);
  for (int i = at::q; i <= at::v; ++i) gradients[static_cast<std::size_t>(i)] = out[static_cast<std::size_t>(i)];
  for (int i = 0; i < ports.own; ++i)
    if (g.has(MethodPorts::first_own + i))
      gradients[static_cast<std::size_t>(MethodPorts::first_own + i)] =
          out[static_cast<std::size_t>(MethodPorts::first_own_gradient + i)];
  return gradients;
}

void attention_node_dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out) {
  if (out.size() > to::lse) out[to::lse] = in[at::q] == DType::f64 ? DType::f64 : DType::f32;
}

bool has_input(const PrepareContext& p, int i) {
  return static_cast<std::size_t>(i) < p.in.size() && p.in[static_cast<std::size_t>(i)].dtype != DType::undefined;
}

AttentionGeometry attention_geometry(const PrepareContext& p) {
  std::vector<const Shape*> shapes;
  for (int i = 0; i <= at::nonpad_kv_seqlen; ++i)
    shapes.push_back(has_input(p, i) ? &p.in[static_cast<std::size_t>(i)].shape : nullptr);
  return attention_geometry(p.attr, shapes);
}

}  // namespace tessera
