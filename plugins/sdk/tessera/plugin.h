/* The plugin ABI of Tessera. C99; no C++ type, no exception and no allocation crosses it.
 *
 * 1. A plugin is a shared library that exports one symbol, tsr_plugin_entry, which returns a constant table.
 * 2. The ABI only grows, from version 1 on. Structs that begin with `size` = sizeof as the writer knew it get fields at
 *    their end; a reader takes those beyond `size` for zero. tsr_tensor, tsr_view, tsr_lists and tsr_tiles, and what a
 *    field means, never change. A host loads every plugin of an older version, and a newer one whose `least_abi` it
 * has; such a plugin looks at host->abi_version before it uses anything newer than that.
 * 3. Strings and tables live as long as the library; libraries are never unloaded. Memory belongs to the host: pointers
 *    a function is given are valid during the call.
 * 4. Functions return 0 on success; on failure they call host->fail with the local fact and return what it returns. The
 *    host adds the node, the model and the plugin's name. A failure of a function of the host (an unknown parameter, a
 *    stopped run) is remembered: it is reported whatever the plugin returns. No exception may leave a function
 *    (plugin.hpp catches them).
 * 5. Functions may be called from several threads at once. A plugin starts no threads of its own: it calls
 *    host->parallel, or, when it brings a threaded library, takes a lease with host->lease_threads first. A body of
 *    host->parallel may call from other threads: fail, log, given, real, integer, integers, text, and input and output
 *    of kernels and full methods; every other function of the host belongs to the thread that the call came on.
 * 6. Element types are numbers of onnx.TensorProto.DataType: 1 f32, 2 u8, 3 i8, 4 u16, 5 i16, 6 i32, 7 i64, 9 bool,
 *    10 f16, 11 f64, 12 u32, 13 u64, 16 bf16. Tensors are dense and row-major; strides and sizes are in elements. */
#ifndef TESSERA_PLUGIN_H
#define TESSERA_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TSR_ABI_VERSION 1u

typedef struct tsr_call tsr_call; /* one call of one of the plugin's functions; the host's */

typedef struct tsr_tensor {
  void* data;          /* NULL while shapes are asked for, without elements, and for an absent optional input */
  const int64_t* dims; /* [rank] */
  uint32_t rank;
  uint32_t dtype; /* 0: absent */
} tsr_tensor;

/* [batch, heads, length, dim] where it lies; the stride of dim is 1. */
typedef struct tsr_view {
  void* data;
  int64_t dims[4];
  int64_t strides[4];
  uint32_t dtype, reserved;
} tsr_view;

/* Lists of numbers, one per row: row r is item[begin[r]] ... item[begin[r + 1] - 1]. */
typedef struct tsr_lists {
  int64_t rows;
  const int64_t* begin; /* [rows + 1] */
  const int32_t* item;
} tsr_lists;

/* The tokens of one operand cut into tiles: token at each place of the tiled order, and where each tile begins. */
typedef struct tsr_tiles {
  int64_t tokens, tiles;
  const int32_t* order;  /* [tokens] */
  const int32_t* first;  /* [tiles + 1] */
  const int64_t* counts; /* [axes] tiles along each axis of the token grid */
  const int64_t* grid;   /* [axes] tokens along each axis */
  uint32_t axes, reserved;
} tsr_tiles;

/* An attention call, as methods see it. */
typedef struct tsr_attention {
  uint32_t size, reserved;
  int64_t batch, q_heads, kv_heads, q_len, kv_len, qk_dim, v_dim;
  double scale;
  const tsr_tiles *query_tiles, *key_tiles; /* NULL when the method has no parameter `tile` */
} tsr_attention;

/* Which queries of one tile are computed (optional step of a selector). head: of the whole attention, also where a
 * policy gives the method only q_heads of its heads. */
typedef struct tsr_keep_task {
  uint32_t size, axes;
  int64_t batch, head, tile;
  const int64_t* extents; /* [axes] of the tile, clipped */
  int64_t tokens, dim;    /* of the tile; of a query */
  const float* queries;   /* [tokens][dim] */
  /* To be set: for each token its own place in the tile (computed), another's whose output it takes, or -1 (zeros). */
  int32_t* source; /* [tokens] */
} tsr_keep_task;

/* Which key tiles some query tiles attend to. Answer with host->choose, once per query tile. head: as in tsr_keep_task.
 */
typedef struct tsr_select_task {
  uint32_t size, reserved;
  int64_t batch, head;
  int64_t first, count; /* query tiles [first, first + count) */
  int64_t key_tiles;
  const float* scores; /* [count][key_tiles]: scale * mean of the kept queries . mean of the keys */
} tsr_select_task;

/* The operands of a full method. */
typedef struct tsr_attention_tensors {
  uint32_t size, reserved;
  tsr_view q, k, v, y;
  void* lse; /* [batch][q_heads][q_len], f32, f64 for f64 operands; natural logarithm, -inf where nothing is attended */
  /* Backward only: in forward all data pointers are NULL, in backward none is, also where there are no elements. */
  tsr_view dy, dq, dk, dv;
  const void* dlse; /* as lse, or NULL */
} tsr_attention_tensors;

/* What the host offers. */
typedef struct tsr_host {
  uint32_t size, abi_version;

  /* Records a message; returns 1, to be returned. */
  int32_t (*fail)(tsr_call*, const char* message);
  void (*log)(tsr_call*, const char* message); /* one line, shown where the environment says TESSERA_LOG=info */

  /* Inputs and outputs of an operator; of a full method its own inputs, from 7 on, and in backward their gradients as
   * outputs from 3 on. The others of a full method are in tsr_attention_tensors. */
  tsr_tensor (*input)(const tsr_call*, uint32_t index);
  tsr_tensor (*output)(tsr_call*, uint32_t index);
  /* In a shape rule. dtype 0: as the table says. */
  int32_t (*set_output)(tsr_call*, uint32_t index, uint32_t dtype, const int64_t* dims, uint32_t rank);

  /* Attributes of an operator's node, parameters of a method; defaults are filled in. given: 1 when there is a value.
   * Numbers of a list: `count` is set to its length. Text: valid during the call. After a failure: 0 or
   * NULL. */
  int32_t (*given)(const tsr_call*, const char* name);
  double (*real)(const tsr_call*, const char* name);
  int64_t (*integer)(const tsr_call*, const char* name);
  const int64_t* (*integers)(const tsr_call*, const char* name, int64_t* count);
  const char* (*text)(const tsr_call*, const char* name);

  /* body(user, begin, end) for chunks of [0, n) of `grain`, on the host's threads; returns when all are done. Chunks
   * depend on n and grain only, so results need not depend on the number of threads. 0, or 1 when the run was stopped
   * (return 1 at once). */
  int32_t (*parallel)(tsr_call*, int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* user);
  /* How many threads a library of the plugin's own (OpenMP) may use from here to return_threads: as many as the host's
   * loops have here. Never 0. One lease is held at a time in the process, other calls wait for theirs; the holder's own
   * host->parallel runs on its one thread meanwhile. */
  int32_t (*lease_threads)(tsr_call*);
  void (*return_threads)(tsr_call*);

  /* In select: the key tiles of a query tile, in any order, each once. */
  int32_t (*choose)(tsr_call*, int64_t query_tile, const int32_t* key_tiles, int64_t count);

  /* The host's attention kernels, for full methods: y and lse, or the gradients, are written; strides of views are any.
   * `source` as tsr_keep_task::source, over all query tiles in tiled order, values being places in that order
   * [batch][q_heads][q_len], or NULL. lists: one row per (batch, head, query tile), key tiles ascending. */
  int32_t (*block_sparse)(tsr_call*, const tsr_attention*, const tsr_lists*, const int32_t* source,
                          const tsr_attention_tensors*);
  int32_t (*block_sparse_backward)(tsr_call*, const tsr_attention*, const tsr_lists*, const int32_t* source,
                                   const tsr_attention_tensors*);
  /* lists: one row per (batch, head, group of `rows` queries), keys ascending. */
  int32_t (*index_list)(tsr_call*, const tsr_attention*, const tsr_lists*, int64_t rows, const tsr_attention_tensors*);
  int32_t (*index_list_backward)(tsr_call*, const tsr_attention*, const tsr_lists*, int64_t rows,
                                 const tsr_attention_tensors*);
  int32_t (*dense)(tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
  int32_t (*dense_backward)(tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
  /* (y, lse) becomes the attention over the keys of both; key sets must be disjoint. */
  int32_t (*merge_by_lse)(tsr_call*, const tsr_attention*, const tsr_view* y, void* lse, const tsr_view* other,
                          const void* other_lse);

  /* In a gradient rule, where `input` and `output` give types and dims: appends a node to the gradient graph. `op` is
   * "Mul" or "domain::Name"; in: handles of values, 0 for absent; attributes as text, "axis=1; alpha=0.5", or NULL.
   * Returns the handle of output 0, the following outputs have the following handles; 0 after a failure. */
  int64_t (*grad_node)(tsr_call*, const char* op, const int64_t* in, uint32_t inputs, const char* attributes,
                       uint32_t outputs);
  int64_t (*grad_input)(tsr_call*, uint32_t index);                   /* handle of the node's input */
  int64_t (*grad_output)(tsr_call*, uint32_t index);                  /* of its output */
  int64_t (*grad_dout)(tsr_call*, uint32_t index);                    /* of the gradient of its output */
  int64_t (*grad_constant)(tsr_call*, double value);                  /* a scalar of the type of input 0 */
  int64_t (*grad_integers)(tsr_call*, const int64_t*, int64_t count); /* an i64 vector: axes, shapes */
  int32_t (*grad_needed)(const tsr_call*, uint32_t index);            /* 1: the gradient of that input is wanted */
  int32_t (*set_grad)(tsr_call*, uint32_t index, int64_t value);      /* the gradient of input `index` */

  /* Appended fields go here. */
} tsr_host;

typedef int32_t (*tsr_function)(const tsr_host*, tsr_call*);

/* An attribute of an operator, or a parameter of a method. */
#define TSR_INTEGER 0u
#define TSR_REAL 1u
#define TSR_TEXT 2u
#define TSR_INTEGERS 4u
typedef struct tsr_parameter {
  uint32_t size, type;
  const char* name;
  const char* fallback; /* as in YAML: "0.5", "[4, 4, 4]", "\"\""; NULL: optional, without a default; "required" */
  double low, high;     /* inclusive; both 0: any */
  const char* choices;  /* of a text: "slot|mean"; NULL: any */
  const char* doc;
} tsr_parameter;

/* Flags of a port. */
#define TSR_OPTIONAL 1u
#define TSR_VARIADIC 2u /* zero or more, of one type: the last input of an operator */
typedef struct tsr_port {
  uint32_t size, flags;
  const char* name;
  const char* types; /* "f32|f64", element types that the kernel takes, or "=X": that of an earlier input X of the
                        operator (not for methods). Outputs: one, or "=X" */
  const char* doc;   /* shape and meaning in words */
} tsr_port;

/* Flags of an operator. */
/* Outputs have the shape that the inputs have when broadcast to each other, and each of their elements depends on the
 * inputs' elements at the same (broadcast) place only. The host does not broadcast: inputs come as the model has them,
 * and a kernel that wants equal ones has its shape rule refuse others. */
#define TSR_POINTWISE 1u
#define TSR_MAKES_NAN 2u   /* NaN may come of finite inputs (roots, logarithms); without it that is a fault */
#define TSR_NO_GRADIENT 4u /* there is none: integers, piecewise constant outputs */
typedef struct tsr_op {
  uint32_t size, since; /* version of the domain whose semantics this has */
  const char *name, *domain, *doc, *source;
  const tsr_port *inputs, *outputs;
  uint32_t input_count, output_count;
  const tsr_parameter* attributes;
  uint32_t attribute_count, flags;
  tsr_function shape;    /* sets every output; sees types and dims only */
  tsr_function kernel;   /* outputs are allocated */
  tsr_function gradient; /* NULL without TSR_NO_GRADIENT: not written; asking for it is an error */
  double (*flops)(const tsr_host*, tsr_call*); /* finite, >= 0; NULL: one per output element */
  /* Documentation and self-test: inputs, attributes -> outputs, with ';' between them. Tensors as {{1, 2}, {3, 4}} or
   * i64{1, 2}; _ for an absent input, or an output of no interest; attributes as axis=-1, mode="mean", perm=[1, 0]. */
  const char* const* examples;
  uint32_t example_count, reserved;
} tsr_op;

typedef struct tsr_method {
  uint32_t size, version; /* version of the semantics, >= 1 */
  const char *name, *doc, *source;
  const tsr_parameter* parameters;
  uint32_t parameter_count;
  uint32_t coarse_gate; /* 1: input 7 is `gate`, Y += gate * coarse attention over tile means (selectors) */
  /* Refuses parameters and sizes that do not go together. May be NULL. */
  int32_t (*check)(const tsr_host*, tsr_call*, const tsr_attention*);
  /* A selector: has a parameter `tile`, and */
  int32_t (*keep)(const tsr_host*, tsr_call*, const tsr_attention*, const tsr_keep_task*); /* NULL: all queries */
  int32_t (*select)(const tsr_host*, tsr_call*, const tsr_attention*, const tsr_select_task*);
  /* The longest list; NULL: all key tiles. */
  int64_t (*width)(const tsr_host*, tsr_call*, const tsr_attention*);
  /* Or a full method: forward, and backward or NULL. */
  int32_t (*forward)(const tsr_host*, tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
  int32_t (*backward)(const tsr_host*, tsr_call*, const tsr_attention*, const tsr_attention_tensors*);
  const tsr_port* inputs; /* a full method's own, from input 7 on */
  uint32_t input_count, reserved;
  /* Pairs (query, key) a call computes, for predictions: finite, >= 0; NULL: from width, of a full method all. */
  double (*pairs)(const tsr_host*, tsr_call*, const tsr_attention*);
  const char* const* examples; /* of the operator, as tsr_op::examples */
  uint32_t example_count, reserved2;
  const char* readme; /* shown by `tessera plugins info`, plain text; NULL: only doc */
} tsr_method;

typedef struct tsr_plugin {
  uint32_t size, abi_version;       /* TSR_ABI_VERSION */
  const char *name, *version, *doc; /* name: messages say it, users look for NAME.so: name the file so */
  const tsr_op* ops;
  const tsr_method* methods;
  uint32_t op_count, method_count;
  tsr_function self_test;       /* run by `tessera plugins doctor`; NULL: none */
  uint32_t least_abi, reserved; /* the oldest host this works with; 0: abi_version */
} tsr_plugin;

typedef const tsr_plugin* (*tsr_plugin_entry_function)(void);

/* The one symbol, for the plugin to define. */
__attribute__((visibility("default"))) const tsr_plugin* tsr_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
