#include "runtime/load/names.h"

#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "runtime/base/error.h"
#include "runtime/base/nearest.h"

namespace tessera {
namespace {

using onnx::NodeProto;

// Names that a graph uses and does not define, added to `free` once each.
void add_free_names(const onnx::GraphProto& graph, std::unordered_set<std::string>& seen,
                    std::vector<std::string>& free) {
  std::unordered_set<std::string_view> local;
  for (const auto& i : graph.input()) local.insert(i.name());
  for (const auto& t : graph.initializer()) local.insert(t.name());
  for (const auto& t : graph.sparse_initializer()) local.insert(t.values().name());
  for (const auto& n : graph.node())
    for (const auto& o : n.output()) local.insert(o);
  const auto use = [&](const std::string& name) {
    if (!name.empty() && !local.contains(name) && seen.insert(name).second) free.push_back(name);
  };
  for (const auto& n : graph.node()) {
    for (const auto& name : n.input()) use(name);
    for (const auto& name : captured_names(n)) use(name);
  }
  for (const auto& o : graph.output()) use(o.name());
}

// Who reads whom, by position.
struct Reads {
  std::vector<std::vector<int>> before;  // the nodes whose outputs a node reads
  bool sorted = true;                    // the file's order will do
};

Reads collect(const NodeProtos& nodes, const std::function<bool(const std::string&)>& defined) {
  std::unordered_map<std::string_view, int> producer;
  for (int n = 0; n < nodes.size(); ++n)
    for (const auto& name : nodes[n].output()) {
      if (name.empty()) continue;
      check(!defined(name) && producer.emplace(name, n).second, "value '", name,
            "' is defined twice, the second time by ", describe(nodes[n], n));
    }
  Reads reads{std::vector<std::vector<int>>(static_cast<std::size_t>(nodes.size())), true};
  for (int n = 0; n < nodes.size(); ++n) {
    const auto read = [&](const std::string& name) {
      if (name.empty()) return;
      const auto it = producer.find(name);
      if (it == producer.end()) {
        if (defined(name)) return;
        std::vector<std::string> names;
        for (const auto& [known, _] : producer) names.emplace_back(known);
        std::sort(names.begin(), names.end());
        check(false, describe(nodes[n], n), " reads '", name, "', which nothing defines",
              name.size() < 200 && names.size() < 10000 ? did_you_mean(name, names) : "");
      }
      reads.before[static_cast<std::size_t>(n)].push_back(it->second);
      reads.sorted &= it->second < n;
    };
    for (const auto& name : nodes[n].input()) read(name);
    for (const auto& name : captured_names(nodes[n])) read(name);
  }
  return reads;
}

// Follows unfinished nodes backwards until one repeats.
std::string describe_cycle(const NodeProtos& nodes, const Reads& reads, const std::vector<char>& done) {
  int at = static_cast<int>(std::find(done.begin(), done.end(), 0) - done.begin());
  std::vector<int> path;
  std::vector<char> visited(done.size());
  while (!visited[static_cast<std::size_t>(at)]) {
    visited[static_cast<std::size_t>(at)] = 1;
    path.push_back(at);
    const auto& before = reads.before[static_cast<std::size_t>(at)];
    at = *std::find_if(before.begin(), before.end(), [&](int b) { return !done[static_cast<std::size_t>(b)]; });
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), at));
  std::string text;
  constexpr std::size_t shown = 8;
  for (std::size_t i = 0; i < std::min(path.size(), shown); ++i)
    text += describe(nodes[path[i]], path[i]) + ", which reads ";
  return text + (path.size() > shown ? concat(path.size() - shown, " more, the last of which reads ") : "") +
         describe(nodes[at], at);
}

}  // namespace

int count_named(const google::protobuf::RepeatedPtrField<std::string>& names) {
  int n = names.size();
  while (n > 0 && names[n - 1].empty()) --n;
  return n;
}

std::vector<std::string> captured_names(const NodeProto& node) {
  std::unordered_set<std::string> seen;
  std::vector<std::string> free;
  std::map<std::string_view, const onnx::GraphProto*> graphs;  // by name, so that the order survives saving
  for (const auto& a : node.attribute())
    if (a.has_g()) graphs[a.name()] = &a.g();
  for (const auto& [_, g] : graphs) add_free_names(*g, seen, free);
  return free;
}

std::string describe(const NodeProto& node, int position) {
  if (node.name().empty()) return concat("node number ", position + 1, " (", node.op_type(), ")");
  return concat("node '", node.name(), "' (", node.op_type(), ")");
}

std::vector<int> topological_order(const NodeProtos& nodes, const std::function<bool(const std::string&)>& defined) {
  const Reads reads = collect(nodes, defined);
  std::vector<int> order;
  order.reserve(reads.before.size());
  if (reads.sorted) {
    for (int n = 0; n < nodes.size(); ++n) order.push_back(n);
    return order;
  }
  std::vector<std::vector<int>> after(reads.before.size());
  std::vector<std::size_t> missing(reads.before.size());
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;  // the first in the file goes first
  for (int n = 0; n < nodes.size(); ++n) {
    const auto& before = reads.before[static_cast<std::size_t>(n)];
    missing[static_cast<std::size_t>(n)] = before.size();
    for (const int b : before) after[static_cast<std::size_t>(b)].push_back(n);
    if (before.empty()) ready.push(n);
  }
  std::vector<char> done(reads.before.size());
  while (!ready.empty()) {
    const int n = ready.top();
    ready.pop();
    done[static_cast<std::size_t>(n)] = 1;
    order.push_back(n);
    for (const int a : after[static_cast<std::size_t>(n)])
      if (--missing[static_cast<std::size_t>(a)] == 0) ready.push(a);
  }
  check(order.size() == done.size(),
        "the graph has a cycle: ", order.size() == done.size() ? "" : describe_cycle(nodes, reads, done));
  return order;
}

}  // namespace tessera
