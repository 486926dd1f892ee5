#pragma once
// The attention sites of a graph: its nodes of domain tessera.attention, and what a policy may ask of them. A pure
// function of the graph after stage `sites` (or any later one).
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tessera {

enum class Role {
  self,  // q, k and v grow from one tensor, also through a key-value cache
  cross
};
enum class MaskClass {
  none,
  causal,   // by is_causal, nothing else
  padding,  // hides keys from all queries alike: nonpad_kv_seqlen, or a mask [B or 1, 1, 1, keys]
  keep,     // another boolean mask
  bias      // added to the scores
};
std::string_view name(Role r);
std::string_view name(MaskClass m);

struct AttentionSite {
  NodeId node{};
  // Unique: the node's name with its leading '/' dropped, '/' as '.', the operator's suffix dropped, then
  // "attention.N", N counted over all sites in topological order: "blocks.0.attn1.attention.0"; "attention.3" where the
  // exporter left no path.
  std::string name;
  std::string scope;  // as the exporter wrote it
  Role role = Role::self;
  int layer = 0;  // index among the sites of this role
  bool causal = false;
  MaskClass mask = MaskClass::none;
  std::int64_t batch = 0, q_heads = 0, kv_heads = 0, head_dim = 0, v_dim = 0;
  std::int64_t tokens = 0, keys = 0;  // Lq, Lk (with the cache)
};

// In topological order. Shapes must be known.
std::vector<AttentionSite> attention_sites(const Graph& g);

}  // namespace tessera
