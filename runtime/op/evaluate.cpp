#include "runtime/op/evaluate.h"

#include "runtime/op/infer.h"

namespace tessera {

std::vector<Tensor> evaluate(const OpDef& op, const Attributes& attributes, std::span<const Tensor* const> in,
                             int outputs, SubgraphRunner* runner) {
  std::vector<DType> dtypes;
  std::vector<const Shape*> shapes;
  for (const Tensor* t : in) {
    dtypes.push_back(t ? t->dtype() : DType::undefined);
    shapes.push_back(t ? &t->shape() : nullptr);
  }
  const auto out_dtypes = infer_dtypes(op, attributes, dtypes, outputs);
  const auto out_shapes = infer_shapes(op, attributes, dtypes, shapes, in, outputs);
  check(out_shapes.has_value() || op.late, Code::internal, op.name,
        ": shapes are unknown although all inputs are given");
  if (op.view && out_shapes && outputs == 1) return {in[0]->reshaped((*out_shapes)[0])};

  std::vector<Tensor> out;
  std::vector<TensorType> in_types, out_types;
  for (std::size_t i = 0; i < in.size(); ++i)
    in_types.push_back(in[i] ? TensorType{dtypes[i], *shapes[i]} : TensorType{});
  for (std::size_t i = 0; i < out_dtypes.size(); ++i) {
    if (!out_shapes) {
      out.emplace_back();
      continue;
    }
    out.emplace_back(out_dtypes[i], (*out_shapes)[i]);
    out_types.push_back({out_dtypes[i], (*out_shapes)[i]});
  }
  std::vector<Tensor*> slots;
  for (auto& t : out) slots.push_back(&t);
  std::shared_ptr<const void> state;
  if (op.prepare) state = op.prepare(PrepareContext(op, attributes, in_types, out_types, in));
  op.kernel(KernelContext(op, attributes, in, slots, state.get(), runner));
  return out;
}

}  // namespace tessera
