/* The layout of the plugin ABI, version 1: what a built plugin relies on. Compiled as strict C99; a line that does not
 * compile names the field that moved. No offset changes, ever; a later version
 * appends fields, and with them the sizes of the structs that begin with `size` may grow. */
#include <tessera/plugin.h>

typedef char sizeof_tsr_tensor[sizeof(tsr_tensor) == 24 ? 1 : -1];
typedef char tsr_tensor_data[offsetof(tsr_tensor, data) == 0 ? 1 : -1];
typedef char tsr_tensor_dims[offsetof(tsr_tensor, dims) == 8 ? 1 : -1];
typedef char tsr_tensor_rank[offsetof(tsr_tensor, rank) == 16 ? 1 : -1];
typedef char tsr_tensor_dtype[offsetof(tsr_tensor, dtype) == 20 ? 1 : -1];

typedef char sizeof_tsr_view[sizeof(tsr_view) == 80 ? 1 : -1];
typedef char tsr_view_data[offsetof(tsr_view, data) == 0 ? 1 : -1];
typedef char tsr_view_dims[offsetof(tsr_view, dims) == 8 ? 1 : -1];
typedef char tsr_view_strides[offsetof(tsr_view, strides) == 40 ? 1 : -1];
typedef char tsr_view_dtype[offsetof(tsr_view, dtype) == 72 ? 1 : -1];
typedef char tsr_view_reserved[offsetof(tsr_view, reserved) == 76 ? 1 : -1];

typedef char sizeof_tsr_lists[sizeof(tsr_lists) == 24 ? 1 : -1];
typedef char tsr_lists_rows[offsetof(tsr_lists, rows) == 0 ? 1 : -1];
typedef char tsr_lists_begin[offsetof(tsr_lists, begin) == 8 ? 1 : -1];
typedef char tsr_lists_item[offsetof(tsr_lists, item) == 16 ? 1 : -1];

typedef char sizeof_tsr_tiles[sizeof(tsr_tiles) == 56 ? 1 : -1];
typedef char tsr_tiles_tokens[offsetof(tsr_tiles, tokens) == 0 ? 1 : -1];
typedef char tsr_tiles_tiles[offsetof(tsr_tiles, tiles) == 8 ? 1 : -1];
typedef char tsr_tiles_order[offsetof(tsr_tiles, order) == 16 ? 1 : -1];
typedef char tsr_tiles_first[offsetof(tsr_tiles, first) == 24 ? 1 : -1];
typedef char tsr_tiles_counts[offsetof(tsr_tiles, counts) == 32 ? 1 : -1];
typedef char tsr_tiles_grid[offsetof(tsr_tiles, grid) == 40 ? 1 : -1];
typedef char tsr_tiles_axes[offsetof(tsr_tiles, axes) == 48 ? 1 : -1];
typedef char tsr_tiles_reserved[offsetof(tsr_tiles, reserved) == 52 ? 1 : -1];

typedef char sizeof_tsr_attention[sizeof(tsr_attention) == 88 ? 1 : -1];
typedef char tsr_attention_size[offsetof(tsr_attention, size) == 0 ? 1 : -1];
typedef char tsr_attention_reserved[offsetof(tsr_attention, reserved) == 4 ? 1 : -1];
typedef char tsr_attention_batch[offsetof(tsr_attention, batch) == 8 ? 1 : -1];
typedef char tsr_attention_q_heads[offsetof(tsr_attention, q_heads) == 16 ? 1 : -1];
typedef char tsr_attention_kv_heads[offsetof(tsr_attention, kv_heads) == 24 ? 1 : -1];
typedef char tsr_attention_q_len[offsetof(tsr_attention, q_len) == 32 ? 1 : -1];
typedef char tsr_attention_kv_len[offsetof(tsr_attention, kv_len) == 40 ? 1 : -1];
typedef char tsr_attention_qk_dim[offsetof(tsr_attention, qk_dim) == 48 ? 1 : -1];
typedef char tsr_attention_v_dim[offsetof(tsr_attention, v_dim) == 56 ? 1 : -1];
typedef char tsr_attention_scale[offsetof(tsr_attention, scale) == 64 ? 1 : -1];
typedef char tsr_attention_query_tiles[offsetof(tsr_attention, query_tiles) == 72 ? 1 : -1];
typedef char tsr_attention_key_tiles[offsetof(tsr_attention, key_tiles) == 80 ? 1 : -1];

typedef char sizeof_tsr_keep_task[sizeof(tsr_keep_task) == 72 ? 1 : -1];
typedef char tsr_keep_task_size[offsetof(tsr_keep_task, size) == 0 ? 1 : -1];
typedef char tsr_keep_task_axes[offsetof(tsr_keep_task, axes) == 4 ? 1 : -1];
typedef char tsr_keep_task_batch[offsetof(tsr_keep_task, batch) == 8 ? 1 : -1];
typedef char tsr_keep_task_head[offsetof(tsr_keep_task, head) == 16 ? 1 : -1];
typedef char tsr_keep_task_tile[offsetof(tsr_keep_task, tile) == 24 ? 1 : -1];
typedef char tsr_keep_task_extents[offsetof(tsr_keep_task, extents) == 32 ? 1 : -1];
typedef char tsr_keep_task_tokens[offsetof(tsr_keep_task, tokens) == 40 ? 1 : -1];
typedef char tsr_keep_task_dim[offsetof(tsr_keep_task, dim) == 48 ? 1 : -1];
typedef char tsr_keep_task_queries[offsetof(tsr_keep_task, queries) == 56 ? 1 : -1];
typedef char tsr_keep_task_source[offsetof(tsr_keep_task, source) == 64 ? 1 : -1];

typedef char sizeof_tsr_select_task[sizeof(tsr_select_task) == 56 ? 1 : -1];
typedef char tsr_select_task_size[offsetof(tsr_select_task, size) == 0 ? 1 : -1];
typedef char tsr_select_task_reserved[offsetof(tsr_select_task, reserved) == 4 ? 1 : -1];
typedef char tsr_select_task_batch[offsetof(tsr_select_task, batch) == 8 ? 1 : -1];
typedef char tsr_select_task_head[offsetof(tsr_select_task, head) == 16 ? 1 : -1];
typedef char tsr_select_task_first[offsetof(tsr_select_task, first) == 24 ? 1 : -1];
typedef char tsr_select_task_count[offsetof(tsr_select_task, count) == 32 ? 1 : -1];
typedef char tsr_select_task_key_tiles[offsetof(tsr_select_task, key_tiles) == 40 ? 1 : -1];
typedef char tsr_select_task_scores[offsetof(tsr_select_task, scores) == 48 ? 1 : -1];

typedef char sizeof_tsr_attention_tensors[sizeof(tsr_attention_tensors) == 664 ? 1 : -1];
typedef char tsr_attention_tensors_size[offsetof(tsr_attention_tensors, size) == 0 ? 1 : -1];
typedef char tsr_attention_tensors_reserved[offsetof(tsr_attention_tensors, reserved) == 4 ? 1 : -1];
typedef char tsr_attention_tensors_q[offsetof(tsr_attention_tensors, q) == 8 ? 1 : -1];
typedef char tsr_attention_tensors_k[offsetof(tsr_attention_tensors, k) == 88 ? 1 : -1];
typedef char tsr_attention_tensors_v[offsetof(tsr_attention_tensors, v) == 168 ? 1 : -1];
typedef char tsr_attention_tensors_y[offsetof(tsr_attention_tensors, y) == 248 ? 1 : -1];
typedef char tsr_attention_tensors_lse[offsetof(tsr_attention_tensors, lse) == 328 ? 1 : -1];
typedef char tsr_attention_tensors_dy[offsetof(tsr_attention_tensors, dy) == 336 ? 1 : -1];
typedef char tsr_attention_tensors_dq[offsetof(tsr_attention_tensors, dq) == 416 ? 1 : -1];
typedef char tsr_attention_tensors_dk[offsetof(tsr_attention_tensors, dk) == 496 ? 1 : -1];
typedef char tsr_attention_tensors_dv[offsetof(tsr_attention_tensors, dv) == 576 ? 1 : -1];
typedef char tsr_attention_tensors_dlse[offsetof(tsr_attention_tensors, dlse) == 656 ? 1 : -1];

typedef char sizeof_tsr_host[sizeof(tsr_host) == 240 ? 1 : -1];
typedef char tsr_host_size[offsetof(tsr_host, size) == 0 ? 1 : -1];
typedef char tsr_host_abi_version[offsetof(tsr_host, abi_version) == 4 ? 1 : -1];
typedef char tsr_host_fail[offsetof(tsr_host, fail) == 8 ? 1 : -1];
typedef char tsr_host_log[offsetof(tsr_host, log) == 16 ? 1 : -1];
typedef char tsr_host_input[offsetof(tsr_host, input) == 24 ? 1 : -1];
typedef char tsr_host_output[offsetof(tsr_host, output) == 32 ? 1 : -1];
typedef char tsr_host_set_output[offsetof(tsr_host, set_output) == 40 ? 1 : -1];
typedef char tsr_host_given[offsetof(tsr_host, given) == 48 ? 1 : -1];
typedef char tsr_host_real[offsetof(tsr_host, real) == 56 ? 1 : -1];
typedef char tsr_host_integer[offsetof(tsr_host, integer) == 64 ? 1 : -1];
typedef char tsr_host_integers[offsetof(tsr_host, integers) == 72 ? 1 : -1];
typedef char tsr_host_text[offsetof(tsr_host, text) == 80 ? 1 : -1];
typedef char tsr_host_parallel[offsetof(tsr_host, parallel) == 88 ? 1 : -1];
typedef char tsr_host_lease_threads[offsetof(tsr_host, lease_threads) == 96 ? 1 : -1];
typedef char tsr_host_return_threads[offsetof(tsr_host, return_threads) == 104 ? 1 : -1];
typedef char tsr_host_choose[offsetof(tsr_host, choose) == 112 ? 1 : -1];
typedef char tsr_host_block_sparse[offsetof(tsr_host, block_sparse) == 120 ? 1 : -1];
typedef char tsr_host_block_sparse_backward[offsetof(tsr_host, block_sparse_backward) == 128 ? 1 : -1];
typedef char tsr_host_index_list[offsetof(tsr_host, index_list) == 136 ? 1 : -1];
typedef char tsr_host_index_list_backward[offsetof(tsr_host, index_list_backward) == 144 ? 1 : -1];
typedef char tsr_host_dense[offsetof(tsr_host, dense) == 152 ? 1 : -1];
typedef char tsr_host_dense_backward[offsetof(tsr_host, dense_backward) == 160 ? 1 : -1];
typedef char tsr_host_merge_by_lse[offsetof(tsr_host, merge_by_lse) == 168 ? 1 : -1];
typedef char tsr_host_grad_node[offsetof(tsr_host, grad_node) == 176 ? 1 : -1];
typedef char tsr_host_grad_input[offsetof(tsr_host, grad_input) == 184 ? 1 : -1];
typedef char tsr_host_grad_output[offsetof(tsr_host, grad_output) == 192 ? 1 : -1];
typedef char tsr_host_grad_dout[offsetof(tsr_host, grad_dout) == 200 ? 1 : -1];
typedef char tsr_host_grad_constant[offsetof(tsr_host, grad_constant) == 208 ? 1 : -1];
typedef char tsr_host_grad_integers[offsetof(tsr_host, grad_integers) == 216 ? 1 : -1];
typedef char tsr_host_grad_needed[offsetof(tsr_host, grad_needed) == 224 ? 1 : -1];
typedef char tsr_host_set_grad[offsetof(tsr_host, set_grad) == 232 ? 1 : -1];

typedef char sizeof_tsr_parameter[sizeof(tsr_parameter) == 56 ? 1 : -1];
typedef char tsr_parameter_size[offsetof(tsr_parameter, size) == 0 ? 1 : -1];
typedef char tsr_parameter_type[offsetof(tsr_parameter, type) == 4 ? 1 : -1];
typedef char tsr_parameter_name[offsetof(tsr_parameter, name) == 8 ? 1 : -1];
typedef char tsr_parameter_fallback[offsetof(tsr_parameter, fallback) == 16 ? 1 : -1];
typedef char tsr_parameter_low[offsetof(tsr_parameter, low) == 24 ? 1 : -1];
typedef char tsr_parameter_high[offsetof(tsr_parameter, high) == 32 ? 1 : -1];
typedef char tsr_parameter_choices[offsetof(tsr_parameter, choices) == 40 ? 1 : -1];
typedef char tsr_parameter_doc[offsetof(tsr_parameter, doc) == 48 ? 1 : -1];

typedef char sizeof_tsr_port[sizeof(tsr_port) == 32 ? 1 : -1];
typedef char tsr_port_size[offsetof(tsr_port, size) == 0 ? 1 : -1];
typedef char tsr_port_flags[offsetof(tsr_port, flags) == 4 ? 1 : -1];
typedef char tsr_port_name[offsetof(tsr_port, name) == 8 ? 1 : -1];
typedef char tsr_port_types[offsetof(tsr_port, types) == 16 ? 1 : -1];
typedef char tsr_port_doc[offsetof(tsr_port, doc) == 24 ? 1 : -1];

typedef char sizeof_tsr_op[sizeof(tsr_op) == 128 ? 1 : -1];
typedef char tsr_op_size[offsetof(tsr_op, size) == 0 ? 1 : -1];
typedef char tsr_op_since[offsetof(tsr_op, since) == 4 ? 1 : -1];
typedef char tsr_op_name[offsetof(tsr_op, name) == 8 ? 1 : -1];
typedef char tsr_op_domain[offsetof(tsr_op, domain) == 16 ? 1 : -1];
typedef char tsr_op_doc[offsetof(tsr_op, doc) == 24 ? 1 : -1];
typedef char tsr_op_source[offsetof(tsr_op, source) == 32 ? 1 : -1];
typedef char tsr_op_inputs[offsetof(tsr_op, inputs) == 40 ? 1 : -1];
typedef char tsr_op_outputs[offsetof(tsr_op, outputs) == 48 ? 1 : -1];
typedef char tsr_op_input_count[offsetof(tsr_op, input_count) == 56 ? 1 : -1];
typedef char tsr_op_output_count[offsetof(tsr_op, output_count) == 60 ? 1 : -1];
typedef char tsr_op_attributes[offsetof(tsr_op, attributes) == 64 ? 1 : -1];
typedef char tsr_op_attribute_count[offsetof(tsr_op, attribute_count) == 72 ? 1 : -1];
typedef char tsr_op_flags[offsetof(tsr_op, flags) == 76 ? 1 : -1];
typedef char tsr_op_shape[offsetof(tsr_op, shape) == 80 ? 1 : -1];
typedef char tsr_op_kernel[offsetof(tsr_op, kernel) == 88 ? 1 : -1];
typedef char tsr_op_gradient[offsetof(tsr_op, gradient) == 96 ? 1 : -1];
typedef char tsr_op_flops[offsetof(tsr_op, flops) == 104 ? 1 : -1];
typedef char tsr_op_examples[offsetof(tsr_op, examples) == 112 ? 1 : -1];
typedef char tsr_op_example_count[offsetof(tsr_op, example_count) == 120 ? 1 : -1];
typedef char tsr_op_reserved[offsetof(tsr_op, reserved) == 124 ? 1 : -1];

typedef char sizeof_tsr_method[sizeof(tsr_method) == 144 ? 1 : -1];
typedef char tsr_method_size[offsetof(tsr_method, size) == 0 ? 1 : -1];
typedef char tsr_method_version[offsetof(tsr_method, version) == 4 ? 1 : -1];
typedef char tsr_method_name[offsetof(tsr_method, name) == 8 ? 1 : -1];
typedef char tsr_method_doc[offsetof(tsr_method, doc) == 16 ? 1 : -1];
typedef char tsr_method_source[offsetof(tsr_method, source) == 24 ? 1 : -1];
typedef char tsr_method_parameters[offsetof(tsr_method, parameters) == 32 ? 1 : -1];
typedef char tsr_method_parameter_count[offsetof(tsr_method, parameter_count) == 40 ? 1 : -1];
typedef char tsr_method_coarse_gate[offsetof(tsr_method, coarse_gate) == 44 ? 1 : -1];
typedef char tsr_method_check[offsetof(tsr_method, check) == 48 ? 1 : -1];
typedef char tsr_method_keep[offsetof(tsr_method, keep) == 56 ? 1 : -1];
typedef char tsr_method_select[offsetof(tsr_method, select) == 64 ? 1 : -1];
typedef char tsr_method_width[offsetof(tsr_method, width) == 72 ? 1 : -1];
typedef char tsr_method_forward[offsetof(tsr_method, forward) == 80 ? 1 : -1];
typedef char tsr_method_backward[offsetof(tsr_method, backward) == 88 ? 1 : -1];
typedef char tsr_method_inputs[offsetof(tsr_method, inputs) == 96 ? 1 : -1];
typedef char tsr_method_input_count[offsetof(tsr_method, input_count) == 104 ? 1 : -1];
typedef char tsr_method_reserved[offsetof(tsr_method, reserved) == 108 ? 1 : -1];
typedef char tsr_method_pairs[offsetof(tsr_method, pairs) == 112 ? 1 : -1];
typedef char tsr_method_examples[offsetof(tsr_method, examples) == 120 ? 1 : -1];
typedef char tsr_method_example_count[offsetof(tsr_method, example_count) == 128 ? 1 : -1];
typedef char tsr_method_reserved2[offsetof(tsr_method, reserved2) == 132 ? 1 : -1];
typedef char tsr_method_readme[offsetof(tsr_method, readme) == 136 ? 1 : -1];

typedef char sizeof_tsr_plugin[sizeof(tsr_plugin) == 72 ? 1 : -1];
typedef char tsr_plugin_size[offsetof(tsr_plugin, size) == 0 ? 1 : -1];
typedef char tsr_plugin_abi_version[offsetof(tsr_plugin, abi_version) == 4 ? 1 : -1];
typedef char tsr_plugin_name[offsetof(tsr_plugin, name) == 8 ? 1 : -1];
typedef char tsr_plugin_version[offsetof(tsr_plugin, version) == 16 ? 1 : -1];
typedef char tsr_plugin_doc[offsetof(tsr_plugin, doc) == 24 ? 1 : -1];
typedef char tsr_plugin_ops[offsetof(tsr_plugin, ops) == 32 ? 1 : -1];
typedef char tsr_plugin_methods[offsetof(tsr_plugin, methods) == 40 ? 1 : -1];
typedef char tsr_plugin_op_count[offsetof(tsr_plugin, op_count) == 48 ? 1 : -1];
typedef char tsr_plugin_method_count[offsetof(tsr_plugin, method_count) == 52 ? 1 : -1];
typedef char tsr_plugin_self_test[offsetof(tsr_plugin, self_test) == 56 ? 1 : -1];
typedef char tsr_plugin_least_abi[offsetof(tsr_plugin, least_abi) == 64 ? 1 : -1];

typedef char
    numbers[TSR_ABI_VERSION == 1 && TSR_INTEGER == 0 && TSR_REAL == 1 && TSR_TEXT == 2 && TSR_INTEGERS == 4 ? 1 : -1];
typedef char
    flags[TSR_OPTIONAL == 1 && TSR_VARIADIC == 2 && TSR_POINTWISE == 1 && TSR_MAKES_NAN == 2 && TSR_NO_GRADIENT == 4
              ? 1
              : -1];
