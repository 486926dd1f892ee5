#include "tests/support/policy_model.h"

#include <cmath>
#include <numeric>

namespace tessera {
namespace {

std::int64_t kept(const MethodCall& call) {
  const auto n = static_cast<double>(call.key_tiles->tiles());
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(call.parameters->real("share") * n)));
}

void check_nearby(const AttentionMethod&, const MethodCall& call) {
  const auto most = call.parameters->integer("most_tokens");
  check(!call.parameters->has("extra") || call.parameters->integer("extra") <= most, "'extra' is above 'most_tokens'");
  check(call.shape.q_len <= most, "there are ", call.shape.q_len, " tokens, more than ", most);
}

std::int64_t width(const AttentionMethod&, const MethodCall& call) { return kept(call); }

void select_first(const AttentionMethod&, const MethodCall& call, const SelectTask& task) {
  for (auto& list : task.lists) {
    list.resize(static_cast<std::size_t>(kept(call)));
    std::iota(list.begin(), list.end(), 0);
  }
}

MethodOperators make_nearby() {
  AttentionMethod m;
  m.name = "nearby";
  m.doc = "The first key tiles.";
  m.source = "a test";
  m.version = 3;
  m.library = "libnearby.so";
  const auto add = [&](const char* name, AttributeType type, const char* fallback, double low, double high) {
    m.parameters.push_back({name, type, fallback, low, high, {}, "for tests"});
  };
  add("tile", AttributeType::integers, "[2, 2]", 1, 64);
  add("share", AttributeType::real, "0.5", 0, 1);
  add("most_tokens", AttributeType::integer, "1000", 1, INFINITY);
  add("mode", AttributeType::text, "near", 0, 0);
  m.parameters.back().choices = "near|far";
  add("extra", AttributeType::integer, "", -INFINITY, INFINITY);
  add("word", AttributeType::text, "", 0, 0);
  add("flag", AttributeType::integer, "", 0, 1);
  m.coarse_gate = true;
  m.check = check_nearby;
  m.select = select_first;
  m.width = width;
  return make_operator(std::make_unique<const AttentionMethod>(std::move(m)));
}

}  // namespace

const Registry& registry_with_nearby() {
  static const Registry registry = [] {
    Registry r = builtin_registry();
    const MethodOperators nearby = make_nearby();
    r.add(*nearby.forward);
    r.add(*nearby.backward);
    return r;
  }();
  return registry;
}

PolicyModel::PolicyModel() {
  ValueId x = input("x", {2, 4, 16, 2});
  const ValueId text = input("text", {2, 4, 5, 2}), image = input("image", {1, 3, 8, 8});
  for (const std::string block : {"0", "1", "2"}) {
    const Attributes causal = {{"is_causal", std::int64_t{block == "2"}}};
    x = named("/blocks." + block + "/attn1/Softmax", "tessera.attention::dense", {x, x, x}, causal);
    x = named("/blocks." + block + "/ffn/MatMul", "MatMul", {x, weight("w" + block, "{{1, 0.3}, {0.7, 1}}")});
  }
  x = named("/cross/attn2/Softmax", "tessera.attention::dense", {node("Relu", {x}), text, text});
  output("y", x);
  output("image_out", node("Relu", {image}));
}

Trail PolicyModel::apply(const std::string& text, const StepPosition& position) {
  const Policy policy = parse_policy("version: 1\n" + text, "p.yaml");
  check_policy(policy, registry_with_nearby());
  return apply_policy(g, policy, registry_with_nearby(), step_class(policy, position));
}

const Node& PolicyModel::site(std::size_t i) const { return g.at(attention_sites(g).at(i).node); }

std::string failure_of_policy(const std::string& policy) {
  try {
    PolicyModel().apply(policy);
  } catch (const Error& e) {
    check(e.code() == Code::policy, Code::internal, "not exit 4: ", e.what());
    return e.what();
  }
  return "no error";
}

}  // namespace tessera
