#pragma once
// An attention site as the file has it: dense, or by methods that the file itself gives to its heads. Private to
// policy/.
#include "runtime/policy/methods.h"

namespace tessera {

// What some heads of a site are to become.
struct Choice {
  const AttentionMethod* method = nullptr;
  Attributes parameters;
  const Rule* rule = nullptr;  // null: the policy's default, or what the file says
  bool bf16 = false;
};

// Inputs behind ONNX Attention's seven belong to the methods: whether this one reads the input `name`.
bool reads(const AttentionMethod& method, std::string_view name);
// Those that stand at the node and that the method, of one of its heads, reads: "gate".
std::vector<std::string> own_inputs(const Node& node, const AttentionMethod& method);

// Thread rule: a value; const use is free.
class GivenSite {
 public:
  GivenSite(const Node& node, std::int64_t heads, const Registry& registry);
  const Node& node() const { return node_; }
  // The same with nothing that belongs to methods.
  const Node& dense() const { return dense_; }
  bool has_methods() const { return node_.op != dense_.op; }
  const Choice& choice(std::int64_t head) const;
  std::vector<std::int64_t> grid() const;  // empty: none
  bool frozen() const;                     // has an input `selection`

  // The site by another operator, which gets the file's inputs that have the names of its own: a gate stays a gate.
  // A frozen selection goes: it belongs to the former choice.
  Node with(const OpDef& op, const Attributes& own) const;
  // The name of an input that the file gives this head and that the head would lose; empty: none.
  std::string lost_input(std::int64_t head, const AttentionMethod& method) const;

 private:
  Node node_, dense_;
  std::vector<Choice> choices_;
  std::vector<std::int64_t> of_head_;  // an index into choices_
};

}  // namespace tessera
