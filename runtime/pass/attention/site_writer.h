#pragma once
// Writes one attention node in place of what was matched.
#include "runtime/graph/edit.h"
#include "runtime/pass/attention/layout.h"

namespace tessera {

struct SiteNode {
  std::string name, scope;
  ValueId q = ValueId::none, k = ValueId::none, v = ValueId::none;  // as the products read them
  std::vector<ValueId> more_in{};                                   // inputs from attn_mask on
  std::vector<ValueId> outputs{};  // from 1 on: values to stand for; none where not wanted
  Attributes attributes{};         // without views and head counts
};

// The value that the node's result stands for is layout.y_to->view.base.
void write_site(Graph& g, Edit& edit, const Registry& registry, const AttentionLayout& layout, const SiteNode& site);

}  // namespace tessera
