/* An operator plugin in plain C99: what the ABI is without the comfort of plugin.hpp. */
#include <tessera/plugin.h>

static int32_t shape(const tsr_host* host, tsr_call* call) {
  const tsr_tensor x = host->input(call, 0);
  return host->set_output(call, 0, x.dtype, x.dims, x.rank);
}

typedef struct {
  const float* x;
  float* y;
  float low, high;
} clip_loop;

static void clip(void* user, int64_t begin, int64_t end) {
  const clip_loop* c = user;
  for (int64_t i = begin; i < end; ++i) {
    const float x = c->x[i];
    c->y[i] = x < c->low ? c->low : x > c->high ? c->high : x;
  }
}

static int32_t kernel(const tsr_host* host, tsr_call* call) {
  const tsr_tensor x = host->input(call, 0), y = host->output(call, 0);
  const clip_loop c = {x.data, y.data, (float)host->real(call, "low"), (float)host->real(call, "high")};
  int64_t n = 1;
  if (c.low > c.high) return host->fail(call, "low is above high");
  for (uint32_t a = 0; a < x.rank; ++a) n *= x.dims[a];
  return host->parallel(call, n, 16384, clip, (void*)&c);
}

/* dx = dy where low < x < high, else 0: the derivative of the host's own Clip. */
static int32_t gradient(const tsr_host* host, tsr_call* call) {
  const int64_t x = host->grad_input(call, 0), dy = host->grad_dout(call, 0);
  const int64_t above[] = {x, host->grad_constant(call, host->real(call, "low"))};
  const int64_t below[] = {x, host->grad_constant(call, host->real(call, "high"))};
  const int64_t both[] = {host->grad_node(call, "Greater", above, 2, NULL, 1),
                          host->grad_node(call, "Less", below, 2, NULL, 1)};
  const int64_t chosen[] = {host->grad_node(call, "And", both, 2, NULL, 1), dy, host->grad_constant(call, 0)};
  return host->set_grad(call, 0, host->grad_node(call, "Where", chosen, 3, NULL, 1));
}

static const tsr_port inputs[] = {{sizeof(tsr_port), 0, "X", "f32", "any shape"}};
static const tsr_port outputs[] = {{sizeof(tsr_port), 0, "Y", "=X", "shape of X"}};
static const tsr_parameter attributes[] = {
    {sizeof(tsr_parameter), TSR_REAL, "low", "0", 0, 0, NULL, "smallest value that passes"},
    {sizeof(tsr_parameter), TSR_REAL, "high", "1", 0, 0, NULL, "largest value that passes"}};
static const char* const examples[] = {"{-1, 0.5, 3} -> {0, 0.5, 1}", "{{-1}, {4}}; low=-2; high=3 -> {{-1}, {3}}"};

static const tsr_op op = {.size = sizeof(tsr_op),
                          .since = 1,
                          .name = "ClipInC",
                          .domain = "com.example",
                          .doc = "y = min(max(x, low), high), elementwise.",
                          .source = "ONNX Clip-13",
                          .inputs = inputs,
                          .outputs = outputs,
                          .input_count = 1,
                          .output_count = 1,
                          .attributes = attributes,
                          .attribute_count = 2,
                          .flags = TSR_POINTWISE,
                          .shape = shape,
                          .kernel = kernel,
                          .gradient = gradient,
                          .examples = examples,
                          .example_count = 2};

static const tsr_plugin plugin = {.size = sizeof(tsr_plugin),
                                  .abi_version = TSR_ABI_VERSION,
                                  .name = "clip_in_c",
                                  .version = "1.0",
                                  .doc = "Clip, written in C",
                                  .ops = &op,
                                  .op_count = 1};

const tsr_plugin* tsr_plugin_entry(void) { return &plugin; }
