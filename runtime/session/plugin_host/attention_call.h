#pragma once
// An attention call in the C structs of plugin.h, and the call a method's function gets.
#include "runtime/session/plugin_host/call.h"

namespace tessera {

// Borrows the MethodCall's tiles.
class AttentionStruct {
 public:
  explicit AttentionStruct(const MethodCall& call);
  AttentionStruct(const AttentionStruct&) = delete;
  AttentionStruct& operator=(const AttentionStruct&) = delete;
  const tsr_attention* get() const { return &attention_; }

 private:
  tsr_tiles query_tiles_{}, key_tiles_{};
  tsr_attention attention_{};
};

// For check, keep, width and pairs: parameters and nothing else. `call` gives the host's kernels its tiles back.
class MethodFunctionCall : public tsr_call {
 public:
  explicit MethodFunctionCall(const MethodCall& call) : tsr_call(call.parameters), call(call) {}
  const MethodCall& call;
};

// A full method's forward or backward: its own inputs, and the gradients of all.
class FullMethodCall final : public MethodFunctionCall {
 public:
  FullMethodCall(const MethodCall& call, const MethodTensors& tensors, bool backward)
      : MethodFunctionCall(call), tensors(tensors), backward(backward) {}
  tsr_tensor input(std::uint32_t i) const override;
  tsr_tensor output(std::uint32_t i) const override;
  const MethodTensors& tensors;
  const bool backward;
};

}  // namespace tessera
