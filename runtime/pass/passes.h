#pragma once
// The passes, one file each, and the parts of them that other stages call with more than a graph.
#include "runtime/pass/pass.h"

namespace tessera {

extern const PassDef remove_dead_pass, fold_constants_pass, inline_branch_pass, drop_identity_pass, drop_neutral_pass,
    merge_constants_pass, merge_duplicates_pass;
extern const PassDef drop_expand_pass, write_signs_pass, write_sigmoid_pass, factor_out_pass;
extern const PassDef fuse_layer_normalization_pass, fuse_rms_normalization_pass, fuse_modulation_pass, fuse_gelu_pass,
    fuse_silu_pass, fuse_rotary_embedding_pass, fuse_bias_pass, fuse_elementwise_pass;

// Whether what follows needs the results of the pass (or stage) of this name: it cannot be turned off.
bool always_on(std::string_view name);

// Names of values that must survive a pass because somebody will ask for them.
using Keep = std::set<std::string, std::less<>>;

// One forward sweep: shapes of all nodes, and the values of those whose inputs are all constant. A constant in `keep`
// counts as unknown, and a node that computes a value in `keep` stays: so gradients with respect to them can be taken.
// How many nodes were computed.
int fold_constants(Graph& g, const Registry& registry, const Keep& keep = {});

}  // namespace tessera
