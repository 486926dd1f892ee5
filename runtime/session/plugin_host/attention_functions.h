#pragma once
// The host's attention kernels as plugins call them: C structs in, the kernels of ops/attention behind them. Failures
// are remembered by the call; 1 is returned then.
#include <tessera/plugin.h>

#include <cstdint>

namespace tessera {

std::int32_t host_block_sparse(tsr_call*, const tsr_attention*, const tsr_lists*, const std::int32_t* source,
                               const tsr_attention_tensors*);
std::int32_t host_block_sparse_backward(tsr_call*, const tsr_attention*, const tsr_lists*, const std::int32_t* source,
                                        const tsr_attention_tensors*);
std::int32_t host_index_list(tsr_call*, const tsr_attention*, const tsr_lists*, std::int64_t rows,
                             const tsr_attention_tensors*);
std::int32_t host_index_list_backward(tsr_call*, const tsr_attention*, const tsr_lists*, std::int64_t rows,
                                      const tsr_attention_tensors*);
std::int32_t host_dense(tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
std::int32_t host_dense_backward(tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
std::int32_t host_merge_by_lse(tsr_call*, const tsr_attention*, const tsr_view* y, void* lse, const tsr_view* other,
                               const void* other_lse);

}  // namespace tessera
