/* The plugin whose first binary, built for ABI 1, is kept beside this file as first-x86_64.so: it must load for ever.
 * It uses each kind of entry and much of what the host offers. Never edited: what later versions add gets a file of
 * its own. Built with
 *   gcc -O2 -march=x86-64 -shared -fPIC -fvisibility=hidden -s -I plugins/sdk first.c -o first-x86_64.so */
#include <tessera/plugin.h>

/* Y = alpha * X + sum(weights), X as it is where mode is "keep"; the gradient is alpha * dY. */
static int32_t shape(const tsr_host* host, tsr_call* call) {
  const tsr_tensor x = host->input(call, 0);
  return host->set_output(call, 0, 0, x.dims, x.rank);
}

typedef struct {
  const float* x;
  float* y;
  double alpha, sum;
} affine_loop;

static void affine(void* user, int64_t begin, int64_t end) {
  const affine_loop* l = user;
  for (int64_t i = begin; i < end; ++i) l->y[i] = (float)(l->alpha * l->x[i] + l->sum);
}

static int keeps(const tsr_host* host, const tsr_call* call) {
  const char* mode = host->text(call, "mode");
  return mode != NULL && mode[0] == 'k';
}

static int32_t kernel(const tsr_host* host, tsr_call* call) {
  const tsr_tensor x = host->input(call, 0), y = host->output(call, 0);
  affine_loop l = {x.data, y.data, keeps(host, call) ? 1 : host->real(call, "alpha"), 0};
  int64_t n = 1, count = 0;
  for (uint32_t a = 0; a < x.rank; ++a) n *= x.dims[a];
  if (host->given(call, "weights")) {
    const int64_t* weights = host->integers(call, "weights", &count);
    if (count > 4) return host->fail(call, "more than four weights");
    for (int64_t i = 0; i < count; ++i) l.sum += (double)(weights[i] * host->integer(call, "times"));
  }
  return host->parallel(call, n, 4096, affine, &l);
}

static int32_t gradient(const tsr_host* host, tsr_call* call) {
  const int64_t of[] = {host->grad_dout(call, 0), host->grad_constant(call, host->real(call, "alpha"))};
  return host->set_grad(call, 0, keeps(host, call) ? of[0] : host->grad_node(call, "Mul", of, 2, NULL, 1));
}

static double flops(const tsr_host* host, tsr_call* call) {
  const tsr_tensor x = host->input(call, 0);
  return x.rank > 0 ? 2.0 * (double)x.dims[0] : 2;
}

static const tsr_port x_port[] = {{sizeof(tsr_port), 0, "X", "f32", "any shape"}};
static const tsr_port y_port[] = {{sizeof(tsr_port), 0, "Y", "=X", "shape of X"}};
static const tsr_parameter attributes[] = {
    {sizeof(tsr_parameter), TSR_REAL, "alpha", "2", -8, 8, NULL, "what X is multiplied with"},
    {sizeof(tsr_parameter), TSR_INTEGER, "times", "1", 0, 9, NULL, "what the weights are multiplied with"},
    {sizeof(tsr_parameter), TSR_INTEGERS, "weights", NULL, 0, 0, NULL, "whole numbers that are added"},
    {sizeof(tsr_parameter), TSR_TEXT, "mode", "scale", 0, 0, "scale|keep", "keep: alpha is 1"}};
static const char* const examples[] = {"{1, -2} -> {2, -4}", "{1}; alpha=0.5; weights=[1, 2]; times=3 -> {9.5}",
                                       "{{7}}; mode=\"keep\" -> {{7}}"};
static const tsr_op ops[] = {{.size = sizeof(tsr_op),
                              .since = 1,
                              .name = "Affine",
                              .domain = "abi.first",
                              .doc = "Y = alpha * X + times * sum(weights).",
                              .source = "this file",
                              .inputs = x_port,
                              .outputs = y_port,
                              .input_count = 1,
                              .output_count = 1,
                              .attributes = attributes,
                              .attribute_count = 4,
                              .flags = TSR_POINTWISE,
                              .shape = shape,
                              .kernel = kernel,
                              .gradient = gradient,
                              .flops = flops,
                              .examples = examples,
                              .example_count = 3}};

/* abi_band: each query tile attends to `keys` tiles, from its own on, around the end; of each tile every second query
 * is computed, the others take the output of the one before. */
static int32_t band_check(const tsr_host* host, tsr_call* call, const tsr_attention* a) {
  if (a->query_tiles->tiles != a->key_tiles->tiles) return host->fail(call, "queries and keys lie on different grids");
  return 0;
}

static int64_t band_width(const tsr_host* host, tsr_call* call, const tsr_attention* a) {
  const int64_t keys = host->integer(call, "keys");
  return keys < a->key_tiles->tiles ? keys : a->key_tiles->tiles;
}

static int32_t band_keep(const tsr_host* host, tsr_call* call, const tsr_attention* a, const tsr_keep_task* t) {
  (void)host, (void)call, (void)a;
  for (int64_t i = 0; i < t->tokens; ++i) t->source[i] = (int32_t)(i - i % 2);
  return 0;
}

static int32_t band_select(const tsr_host* host, tsr_call* call, const tsr_attention* a, const tsr_select_task* t) {
  int32_t near[16];
  const int64_t count = band_width(host, call, a);
  for (int64_t i = 0; i < t->count; ++i) {
    for (int64_t j = 0; j < count; ++j) near[j] = (int32_t)((t->first + i + j) % t->key_tiles);
    if (host->choose(call, t->first + i, near, count)) return 1;
  }
  return 0;
}

static double band_pairs(const tsr_host* host, tsr_call* call, const tsr_attention* a) {
  return (double)(a->batch * a->q_heads) * 0.5 * (double)a->q_len * (double)a->kv_len *
         (double)band_width(host, call, a) / (double)a->key_tiles->tiles;
}

/* abi_dense: dense attention, by the host's kernel. */
static int32_t dense(const tsr_host* host, tsr_call* call, const tsr_attention* a, const tsr_attention_tensors* t) {
  return host->dense(call, a, t);
}
static int32_t dense_backward(const tsr_host* host, tsr_call* call, const tsr_attention* a,
                              const tsr_attention_tensors* t) {
  return host->dense_backward(call, a, t);
}

static const tsr_parameter band_parameters[] = {
    {sizeof(tsr_parameter), TSR_INTEGERS, "tile", "[2, 4, 4]", 1, 64, NULL, "tokens of a tile"},
    {sizeof(tsr_parameter), TSR_INTEGER, "keys", "2", 1, 16, NULL, "key tiles of a query tile"}};
static const tsr_method methods[] = {{.size = sizeof(tsr_method),
                                      .version = 1,
                                      .name = "abi_band",
                                      .doc = "A band of key tiles.",
                                      .source = "this file",
                                      .parameters = band_parameters,
                                      .parameter_count = 2,
                                      .check = band_check,
                                      .keep = band_keep,
                                      .select = band_select,
                                      .width = band_width,
                                      .pairs = band_pairs},
                                     {.size = sizeof(tsr_method),
                                      .version = 1,
                                      .name = "abi_dense",
                                      .doc = "Dense attention.",
                                      .source = "this file",
                                      .forward = dense,
                                      .backward = dense_backward}};

static int32_t self_test(const tsr_host* host, tsr_call* call) {
  return host->size >= 240 && host->abi_version >= 1 ? 0 : host->fail(call, "the host is older than ABI 1");
}

static const tsr_plugin plugin = {.size = sizeof(tsr_plugin),
                                  .abi_version = 1,
                                  .name = "abi_first",
                                  .version = "1.0",
                                  .doc = "The first plugin of ABI 1",
                                  .ops = ops,
                                  .methods = methods,
                                  .op_count = 1,
                                  .method_count = 2,
                                  .self_test = self_test};

const tsr_plugin* tsr_plugin_entry(void) { return &plugin; }
