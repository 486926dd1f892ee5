#include "runtime/policy/lock.h"

#include "runtime/policy/methods.h"

namespace tessera {
namespace {

// FNV-1a, 64 bits. Parts are told apart by their lengths.
class Hash {
 public:
  void add(std::string_view text) {
    add_byte(static_cast<std::uint64_t>(text.size()));
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
  }
  template <class T>
  void add_text_of(const T& value) {
    add(concat(value));
  }
  std::string digits() const {
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[state_ >> shift & 15];
    return text;
  }

 private:
  void add_byte(std::uint64_t byte) { state_ = (state_ ^ byte) * 0x100000001b3; }
  std::uint64_t state_ = 0xcbf29ce484222325;
};

// Weights count by type and shape; shapes, axes and indices, which are a few integers, by their values too.
void add_tensor(Hash& hash, const Tensor& t) {
  constexpr std::int64_t few = 64;
  hash.add_text_of(t.dtype());
  hash.add_text_of(t.shape());
  const bool counts = t.dtype() == DType::i64 || t.dtype() == DType::i32;
  if (counts && t.size() <= few) hash.add({static_cast<const char*>(t.raw()), t.bytes()});
}

void add_graph(Hash& hash, const Graph& g);

void add_attribute(Hash& hash, const Attribute& a) {
  if (const auto* t = std::get_if<Tensor>(&a)) return add_tensor(hash, *t);
  const auto* graph = std::get_if<std::shared_ptr<const Subgraph>>(&a);
  if (!graph) return hash.add(to_text(a));
  if (const auto* body = dynamic_cast<const GraphBody*>(graph->get())) add_graph(hash, body->graph);
}

// Values are numbered as nodes mention them, so that their names and ids do not matter. Names of nodes count: sites
// bear them, and rules match them.
void add_graph(Hash& hash, const Graph& g) {
  std::vector<std::size_t> number(g.values.size(), 0);
  std::size_t next = 0;
  const auto mention = [&](ValueId v) {
    if (v == ValueId::none) return hash.add("-");
    if (number[index(v)] == 0) {
      number[index(v)] = ++next;
      if (g.is_constant(v)) add_tensor(hash, g.at(v).constant);
    }
    hash.add_text_of(number[index(v)]);
  };
  for (const auto& i : g.inputs) {
    hash.add(g.at(i.value).name);
    hash.add_text_of(g.at(i.value).dtype);
    hash.add(i.declared ? concat(*i.declared) : "");
    mention(i.value);
  }
  for (const auto& n : g.nodes) {
    hash.add(n.name);
    hash.add(n.op->domain);
    hash.add(n.op->name);
    for (const auto& [name, value] : n.attributes) {
      hash.add(name);
      add_attribute(hash, value);
    }
    for (const auto v : n.in) mention(v);
    hash.add("->");
    for (const auto v : n.out) mention(v);
  }
  for (const auto& o : g.outputs) {
    hash.add(o.name);
    mention(o.value);
  }
}

}  // namespace

std::string structural_hash(const Graph& g) {
  Hash hash;
  add_graph(hash, g);
  return hash.digits();
}

namespace {

std::string origin(const std::string& library, const std::string& version) {
  if (library.empty()) return "the built-in one";
  return concat("that of library '", library, "' ", version.empty() ? "without a version" : version);
}

}  // namespace

void check_lock(const Policy& policy, const Graph& loaded, const Registry& registry) {
  if (!policy.lock) return;
  const Lock& lock = *policy.lock;
  const std::string now = structural_hash(loaded);
  if (now != lock.model)
    policy_error(policy.path, lock.at, "locked to another model: its structure was ", lock.model, ", this one is ",
                 now);
  for (const auto& m : lock.methods) {
    const AttentionMethod& method = method_named(policy, registry, m.name, m.at);
    if (method.version != m.version)
      policy_error(policy.path, m.at, "locked to version ", m.version, " of method '", m.name, "'; loaded is version ",
                   method.version);
    const std::string locked = origin(m.library, m.library_version),
                      loaded_one = origin(method.library, method.library_version);
    if (locked != loaded_one)
      policy_error(policy.path, m.at, "method '", m.name, "' is locked to ", locked, "; loaded is ", loaded_one);
  }
}

}  // namespace tessera
