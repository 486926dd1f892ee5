#pragma once
// One node of a method operator or of by_head, made concrete: where the operands lie, and which heads go by which
// method. Both kinds of operator run through here. Thread rule: constant once made.
#include <functional>
#include <memory>

#include "ops/attention/geometry.h"
#include "ops/attention/head_runs.h"
#include "ops/attention/selection.h"

namespace tessera {

// Places of the inputs behind ONNX Attention's seven: first the methods' own (`gate` of selectors and of by_head), then
// `selection` in the forward operator; in the gradient Y, lse, dY, dlse (optional), selection.
struct MethodPorts {
  static constexpr int first_own = attention_input::nonpad_kv_seqlen + 1;
  static constexpr int first_own_gradient = 3;  // output, behind dQ, dK, dV
  int own = 0;
  constexpr int frozen() const { return first_own + own; }
  constexpr int y() const { return first_own + own; }
  constexpr int lse() const { return y() + 1; }
  constexpr int dy() const { return y() + 2; }
  constexpr int dlse() const { return y() + 3; }
  constexpr int selection() const { return y() + 4; }
};

class AttentionNode {
 public:
  struct Part {
    HeadRun heads;
    std::unique_ptr<const PlannedMethod> planned;
    std::int64_t selection_begin = 0;  // in elements of the output `selection`
  };
  // Refuses, in the name of `name`, what no method but dense can honour: masks, caches, softcap. Errors: bad_input.
  AttentionNode(std::string_view name, AttentionGeometry geometry, MethodPorts ports,
                const std::function<bool(int)>& has);
  void add(const HeadRun& heads, const AttentionMethod& method, std::span<const std::int64_t> grid,
           const Attributes& parameters);

  const AttentionGeometry& geometry() const { return geometry_; }
  const std::vector<Part>& parts() const { return parts_; }
  // i32 elements of the parts' selections, one after the other, each [B, heads, tiles, width + largest tile].
  std::int64_t selection_size() const { return selection_size_; }

  // Shapes of the other inputs are checked against Q, K and V. selection: what the output and the inputs of that name
  // are; ignored where no method selects.
  void forward_shape(ShapeContext& c, const Shape& selection) const;
  void backward_shape(ShapeContext& c, const Shape& selection) const;
  void forward(const KernelContext& k) const;
  void backward(const KernelContext& k) const;
  double flops(bool gated) const;  // of forward

 private:
  template <class T>
  void differentiate(const KernelContext& k) const;
  bool takes_gate() const;
  void check_gate(const ShapeContext& c) const;
  MethodTensors operands(const KernelContext& k) const;
  MethodTensors tensors_of(const Part& part, const MethodTensors& whole) const;
  Tensor rows_of(const Part& part, const Tensor& lse) const;  // its heads of [B, Hq, L]
  bool serves_all(const Part& part) const { return part.heads.n == geometry_.shape.q_heads; }

  AttentionGeometry geometry_;
  MethodPorts ports_;
  std::vector<Part> parts_;
  std::int64_t selection_size_ = 0;
};

// Writes NAMEGrad for a node of NAME with these ports.
std::vector<ValueId> attention_node_gradient(GradContext& g, MethodPorts ports);

// The element types of outputs: lse is f64 beside f64 operands, else f32.
void attention_node_dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out);

// Geometry of a node whose types are known, as prepare hooks see them.
AttentionGeometry attention_geometry(const PrepareContext& p);
bool has_input(const PrepareContext& p, int i);

}  // namespace tessera
