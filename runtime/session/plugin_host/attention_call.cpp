#include "runtime/session/plugin_host/attention_call.h"

namespace tessera {
namespace {

constexpr std::uint32_t first_own_input = 7;  // after those of ONNX Attention
constexpr std::uint32_t first_own_gradient = 3;

tsr_tiles struct_of(const TokenTiles& t) {
  return {.tokens = t.tokens(),
          .tiles = t.tiles(),
          .order = t.order.data(),
          .first = t.first.data(),
          .counts = t.counts.data(),
          .grid = t.grid.data(),
          .axes = static_cast<std::uint32_t>(t.grid.size()),
          .reserved = 0};
}

}  // namespace

AttentionStruct::AttentionStruct(const MethodCall& call) {
  if (call.query_tiles) query_tiles_ = struct_of(*call.query_tiles);
  if (call.key_tiles) key_tiles_ = struct_of(*call.key_tiles);
  const AttentionShape& s = call.shape;
  attention_ = {.size = sizeof(tsr_attention),
                .reserved = 0,
                .batch = s.batch,
                .q_heads = s.q_heads,
                .kv_heads = s.kv_heads,
                .q_len = s.q_len,
                .kv_len = s.kv_len,
                .qk_dim = s.qk_dim,
                .v_dim = s.v_dim,
                .scale = call.scale,
                .query_tiles = call.query_tiles ? &query_tiles_ : nullptr,
                .key_tiles = call.key_tiles ? &key_tiles_ : nullptr};
}

tsr_tensor FullMethodCall::input(std::uint32_t i) const {
  check(i >= first_own_input, Code::plugin, "input ", i, " of a method is in its tensors; its own begin at ",
        first_own_input);
  const std::size_t own = i - first_own_input;
  return own < tensors.inputs.size() && tensors.inputs[own] ? tensor_of(*tensors.inputs[own]) : absent_tensor();
}

tsr_tensor FullMethodCall::output(std::uint32_t i) const {
  check(backward && i >= first_own_gradient, Code::plugin, "output ", i,
        " of a method is in its tensors; gradients of its own inputs begin at ", first_own_gradient, " in backward");
  const std::size_t own = i - first_own_gradient;
  return own < tensors.dinputs.size() && tensors.dinputs[own] ? tensor_of(*tensors.dinputs[own]) : absent_tensor();
}

}  // namespace tessera
