#pragma once
// A model under several policies as one graph: the reference, a copy of it per policy, and between them the nodes that
// measure how far each site and each output of a copy is from the reference's. Weights and inputs are shared. Nodes
// stand layer by layer, copy beside copy, so that run in order, the memory needed does not grow with depth.
//
// At each site a policy's attention runs twice: in its own copy (cumulative: what went before is in its inputs), and as
// node "ISOLATED/NAME" on the reference's inputs. Nodes that only measure have names that begin with "MEASURE/"; casts
// that a policy puts around a site have the site's name.
#include <span>
#include <string>
#include <vector>

#include "runtime/op/registry.h"
#include "runtime/pass/sites.h"

namespace tessera {

// Names of graph outputs of JointGraph::graph; sums are those of operator tessera::ErrorSums against the reference.
struct ComparedSite {
  std::string isolated, cumulative;  // f64 [5]
  std::string density;               // f32 [B, Hq], of the isolated run
  std::string mass;  // f32: mean over computed queries of the dense attention mass on the keys that were kept
  std::string node;  // the isolated node, for its time
  std::string copy;  // the site's node in the policy's copy
};
struct ComparedPolicy {
  std::vector<ComparedSite> sites;   // as JointGraph::sites
  std::vector<std::string> outputs;  // f64 [5]: for each output of the reference; integers compared as numbers
  std::string prefix;                // of the names of the copy's nodes
};
struct JointGraph {
  Graph graph;
  std::vector<AttentionSite> sites;         // of the reference; node: in the reference
  std::vector<std::string> site_nodes;      // names of the reference's nodes in `graph`
  std::vector<std::string> site_densities;  // f32 [B, Hq]: what masks and methods of the file leave
  std::vector<std::string> outputs;         // names of the reference's outputs
  std::vector<ComparedPolicy> policies;
};

// `reference` is a graph after stage `sites`; each of `policies` is what a policy made of it. Errors: internal when a
// policy's graph does not have the reference's sites.
JointGraph compare_graphs(const Graph& reference, std::span<const Graph> policies, const Registry& registry);

}  // namespace tessera
