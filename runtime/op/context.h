#pragma once
// What an operator's functions see. All contexts are borrowed: valid during the call only.
#include <memory>
#include <vector>

#include "runtime/op/builder.h"
#include "runtime/op/op.h"
#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {

struct TensorType {
  DType dtype = DType::undefined;  // undefined: this optional input or output is absent
  Shape shape;
};

// For shape, identity and flops rules: concrete types of the inputs, values of the inputs named in shape_reads.
class ShapeContext {
 public:
  ShapeContext(const OpDef& op, const Attributes& attributes, std::vector<TensorType> in,
               std::vector<const Tensor*> values, std::size_t outputs)
      : op(op), attr(op.attributes, attributes), in_(std::move(in)), values_(std::move(values)), out_(outputs) {}

  const OpDef& op;
  const AttributeReader attr;

  int inputs() const { return static_cast<int>(in_.size()); }
  int outputs() const { return static_cast<int>(out_.size()); }
  bool has(int i) const { return i < inputs() && in_[i].dtype != DType::undefined; }
  const Shape& in(int i) const { return type(i).shape; }
  DType dtype(int i) const { return type(i).dtype; }
  int rank(int i) const { return in(i).rank(); }
  // The value of a constant input; always there for inputs named in shape_reads that are not absent.
  const Tensor& value(int i) const;
  const Tensor* constant(int i) const { return i < static_cast<int>(values_.size()) ? values_[i] : nullptr; }
  // attribute "axis" (or another) brought into [0, rank of input 0).
  int axis(std::string_view name = "axis") const { return normal_axis(attr.integer(name), rank(0), name); }

  void out(int i, Shape shape);  // ignored when the node has no output i
  const Shape& out(int i) const { return out_.at(static_cast<std::size_t>(i)); }

 private:
  const TensorType& type(int i) const;
  std::vector<TensorType> in_;
  std::vector<const Tensor*> values_;
  std::vector<Shape> out_;
};

// Runs a subgraph from inside a kernel (If). exec/ implements it; without one, such a kernel is an error.
class SubgraphRunner {
 public:
  virtual ~SubgraphRunner() = default;
  virtual std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs) = 0;
};

// For kernels. Outputs are allocated, with the shapes of the shape rule; a late operator gives them itself.
class KernelContext {
 public:
  KernelContext(const OpDef& op, const Attributes& attributes, std::span<const Tensor* const> in,
                std::span<Tensor* const> out, const void* state = nullptr, SubgraphRunner* runner = nullptr)
      : op(op), attr(op.attributes, attributes), in_(in), out_(out), state_(state), runner_(runner) {}

  const OpDef& op;
  const AttributeReader attr;

  int inputs() const { return static_cast<int>(in_.size()); }
  int outputs() const { return static_cast<int>(out_.size()); }
  bool has(int i) const { return i < inputs() && in_[i] != nullptr; }
  bool wants(int i) const { return i < outputs() && out_[i] != nullptr; }
  const Tensor& in(int i) const { return *in_[i]; }
  Tensor& out(int i) const { return *out_[i]; }
  int axis(std::string_view name = "axis") const { return normal_axis(attr.integer(name), in(0).rank(), name); }
  template <class State>
  const State& state() const {
    return *static_cast<const State*>(state_);
  }
  void give(int i, Tensor t) const { *out_[i] = std::move(t); }  // late operators only
  std::vector<Tensor> run(const Subgraph& body, std::span<const Tensor> inputs) const;

 private:
  std::span<const Tensor* const> in_;  // null: absent
  std::span<Tensor* const> out_;       // null: not wanted
  const void* state_;
  SubgraphRunner* runner_;
};

// For the prepare hook: types of inputs and outputs, and the constant inputs. The result is kept in the plan.
class PrepareContext {
 public:
  PrepareContext(const OpDef& op, const Attributes& attributes, std::span<const TensorType> in,
                 std::span<const TensorType> out, std::span<const Tensor* const> constants)
      : op(op), attr(op.attributes, attributes), in(in), out(out), constants(constants) {}
  const OpDef& op;
  const AttributeReader attr;
  const std::span<const TensorType> in, out;
  const std::span<const Tensor* const> constants;  // null: known only during the run
};

// For gradient rules: builds the backward graph of one node out of ordinary nodes. The driver sums, reduces gradients
// over broadcast axes back to the input's shape and casts, so rules mention none of these. Shapes are concrete.
class GradContext : public NodeBuilder {
 public:
  virtual const OpDef& op() const = 0;
  virtual const AttributeReader& attr() const = 0;
  virtual int inputs() const = 0;
  virtual int outputs() const = 0;
  virtual bool has(int i) const = 0;    // input i is given
  virtual bool needs(int i) const = 0;  // the gradient of input i is wanted
  virtual ValueId in(int i) const = 0;
  virtual ValueId out(int i) = 0;          // added to the node when nobody asked for it so far
  virtual bool has_dout(int i) const = 0;  // output i reaches the loss
  virtual ValueId dout(int i) = 0;         // gradient of the loss w.r.t. output i; zeros when it does not reach it
};

// For adapt and expand: one node as it stood in the file. Change `in`, `attributes` and `op_name` for the node to be
// built from them, or write other nodes through `build` and name their results with `become`.
class RewriteContext {
 public:
  const OpDef& op;
  NodeBuilder& build;
  int version;              // opset version of the node's domain in the model
  std::vector<ValueId> in;  // ValueId::none where absent
  Attributes attributes;
  int outputs;                  // how many the node has
  std::vector<bool> wanted;     // false where the output's name is empty
  std::vector<ValueId> result;  // set by `become`

  bool has(int i) const { return i < static_cast<int>(in.size()) && in[i] != ValueId::none; }
  bool wants(int i) const { return i < outputs && wanted[static_cast<std::size_t>(i)]; }
  AttributeReader attr() const { return {op.attributes, attributes}; }  // until `attributes` change
  void become(std::vector<ValueId> values) { result = std::move(values); }
  // Turns attribute `name` (ints or int) into input `i`, an i64 vector; no-op when the attribute is absent.
  void attribute_to_input(std::string_view name, int i);
};

}  // namespace tessera
