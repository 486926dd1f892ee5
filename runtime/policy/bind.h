#pragma once
// Gives one attention site its method. Private to policy/.
#include "runtime/policy/methods.h"

namespace tessera {

// What some heads of a site are to become.
struct Choice {
  const AttentionMethod* method = nullptr;
  Attributes parameters;
  const Rule* rule = nullptr;  // null: the policy's default
  bool bf16 = false;
};

// One choice per head of the site. Errors: policy, naming rule and site, when a method refuses.
class Binder {
 public:
  Binder(const Policy& policy, const Registry& registry, std::vector<std::int64_t> grid)
      : policy_(policy), registry_(registry), grid_(std::move(grid)) {}
  void bind(Graph& g, const std::vector<const Choice*>& of_head, SiteTrail& trail) const;

 private:
  // Heads of one site that are to become the same.
  struct Group {
    const Choice* choice;
    std::vector<std::int64_t> heads;
    const AttentionMethod* method = nullptr;  // the choice's, or dense where that refuses
    Attributes parameters;
    bool bf16 = false;
    bool same_as(const Group& other) const {
      return method == other.method && equal(parameters, other.parameters) && bf16 == other.bf16;
    }
  };
  Node dense_node(const Node& given) const;
  std::string refusal_of(Graph& g, NodeId id, std::string_view op, const Attributes& own) const;
  [[noreturn]] void refuse(const Choice& choice, const AttentionSite& site, const std::string& why) const;
  BindingTrail settle(Graph& g, const Node& dense, const AttentionSite& site, Group& group) const;
  void bind_groups(Graph& g, const Node& dense, const AttentionSite& site, std::vector<Group> groups) const;

  const Policy& policy_;
  const Registry& registry_;
  const std::vector<std::int64_t> grid_;
};

// Floating-point operations of a node with known shapes, by its operator's rule.
double predicted_flops(const Graph& g, const Node& n);

}  // namespace tessera
