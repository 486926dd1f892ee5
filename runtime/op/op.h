#pragma once
// What an operator is: one constant table in read-only memory. See ops/nn/relu.cpp for a whole one.
//
// The newest version the table knows is the only one kernels know; older versions are adapted when a model is imported.
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>

#include "runtime/op/attribute.h"

namespace tessera {

class ShapeContext;
class KernelContext;
class PrepareContext;
class GradContext;
class RewriteContext;
enum class ValueId : std::int32_t;  // builder.h

// A function pointer that knows whether it was given. (Comparing a function pointer with null is no constant expression
// under GCC 12 with -fsanitize=undefined, GCC PR 71962.)
template <class Signature>
class Fn {
 public:
  constexpr Fn() = default;
  template <class F>
  requires std::is_convertible_v<F, Signature*>
  constexpr Fn(F f) : f_(f), given_(true) {}
  constexpr explicit operator bool() const { return given_; }
  template <class... A>
  auto operator()(A&&... a) const {
    return f_(std::forward<A>(a)...);
  }
  bool is(Signature* other) const { return given_ && f_ == other; }

 private:
  Signature* f_ = nullptr;
  bool given_ = false;
};

// A short list inside a constant table.
template <class T, std::size_t N>
struct List {
  T items[N]{};
  std::size_t n = 0;
  constexpr List() = default;
  constexpr List(std::initializer_list<T> l) {
    for (const auto& x : l) items[n++] = x;
  }
  constexpr const T* begin() const { return items; }
  constexpr const T* end() const { return items + n; }
  constexpr std::size_t size() const { return n; }
  constexpr bool empty() const { return n == 0; }
  constexpr const T& operator[](std::size_t i) const { return items[i]; }
  constexpr operator std::span<const T>() const { return {items, n}; }
};

enum class Presence { required, optional, variadic };  // variadic: last port, zero or more tensors

// An input or output. `type` is a type variable of the table ("T"), or an element type by name ("i64", "bool"). Tensors
// of one variable share one element type, except in a port declared `mixed` (variadic of any types, as the inputs of
// If).
struct Port {
  std::string_view name, type, doc;
  Presence presence = Presence::required;
  bool mixed = false;
};
struct TypeVar {
  std::string_view name;
  DTypeSet allowed;
};

// Output `out` may be written over input `in` when nobody else needs it (equal bytes per element and shape).
struct InPlace {
  int in, out;
};

using DTypeFn = Fn<void(const AttributeReader&, std::span<const DType> in, std::span<DType> out)>;
using ShapeFn = Fn<void(ShapeContext&)>;
using IdentityFn = Fn<bool(const ShapeContext&)>;
using FlopsFn = Fn<double(const ShapeContext&)>;
using PrepareFn = Fn<std::shared_ptr<const void>(const PrepareContext&)>;
using KernelFn = Fn<void(const KernelContext&)>;
using GradFn = Fn<std::vector<ValueId>(GradContext&)>;
using RewriteFn = Fn<void(RewriteContext&)>;

// Rewrites a node of an opset version below `below` to the semantics of `below`; chained in ascending order.
struct Adaptation {
  int below = 0;
  RewriteFn rewrite{};
};

std::vector<ValueId> no_gradient(GradContext&);       // mathematically none: integers, booleans, piecewise constant
std::vector<ValueId> gradient_missing(GradContext&);  // there is one, nobody wrote it: an error when a loss needs it

struct OpDef {
  std::string_view name;
  std::string_view domain = "";  // "" is ai.onnx
  int since = 1;                 // the version of `domain` whose semantics shape, kernel and gradient have
  int introduced = 1;            // the first version of `domain` that has the operator
  std::string_view doc{}, source{};
  List<Port, 20> inputs{};
  List<Port, 8> outputs{};
  List<AttributeDef, 40> attributes{};
  List<TypeVar, 6> types{};
  // Element types of outputs whose port names a type variable bound by no input (Cast, Constant, ...).
  DTypeFn dtype{};
  // Inputs whose values the shape rule reads. While one of them is not constant, shapes are found during the run.
  List<int, 6> shape_reads{};
  // Sets the shapes of all outputs; checks ranks and sizes. Pure.
  ShapeFn shape{};
  // Sizes its outputs while running, with KernelContext::give. No shape rule is needed.
  bool late = false;
  // Draws random numbers: never folded, never merged with a twin.
  bool random = false;
  // Outputs depend on the shapes of the inputs only, not on their elements (Shape, Size): folded once shapes are known.
  bool shape_only = false;
  // Output 0 is input 0's elements under another shape: no kernel runs, no bytes move. A kernel must still exist (a
  // copy).
  bool view = false;
  // True where output 0 equals input 0 in type, shape and elements, and no other output is used: the node is dropped.
  IdentityFn identity_when{};
  // Each output element depends on the elements of the inputs at the same (broadcast) place only.
  bool pointwise = false;
  List<InPlace, 3> in_place{};
  FlopsFn flops{};  // floating-point operations, multiply and add counted as two; absent: one per output element
  PrepareFn
      prepare{};  // optional: work done once per plan (choose a variant, pack); its result is KernelContext::state
  KernelFn kernel{};
  // In place of a kernel: writes the node as other nodes when the model is imported; shape and gradient come with them.
  RewriteFn expand{};
  GradFn gradient{};
  List<Adaptation, 8> adapt{};
  // Documentation and test at once, e.g. "{{1, 2}}; axis=1 -> {3}": inputs and attributes, then outputs. See example.h.
  List<std::string_view, 12> examples{};
  const void* user = nullptr;  // the plugin's own table, for operators adopted from a plugin
};

// An operator that runs subgraphs (If) cannot be written as an example of tensors alone.
constexpr bool takes_graph(const OpDef& op) {
  for (const auto& a : op.attributes)
    if (a.type == AttributeType::graph) return true;
  return false;
}

// Refuses an incomplete operator at compile time.
consteval OpDef define(OpDef op) {
  if (op.name.empty()) throw "OpDef: .name is empty";
  if (op.doc.empty()) throw "OpDef: .doc is empty";
  if (op.source.empty()) throw "OpDef: .source (paper or specification) is empty";
  if (op.inputs.empty() && op.outputs.empty()) throw "OpDef: .inputs and .outputs are empty";
  if (op.expand) {
    if (op.kernel || op.shape) throw "OpDef: .expand stands in place of .kernel and .shape";
    return op;
  }
  if (!op.shape && !op.late) throw "OpDef: .shape is missing";
  if (!op.kernel) throw "OpDef: .kernel is missing";
  if (!op.gradient) throw "OpDef: .gradient is missing; write no_gradient if there is none";
  if (op.examples.empty() && !takes_graph(op)) throw "OpDef: give at least one example";
  return op;
}

}  // namespace tessera
