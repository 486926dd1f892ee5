// Full methods over the host's kernels, each of which is dense attention by another way.
#include <tessera/attention_method.hpp>

#include <numeric>

using namespace tessera::plugin;

static std::vector<std::int32_t> range(std::int64_t first, std::int64_t end) {
  std::vector<std::int32_t> list(static_cast<std::size_t>(end - first));
  std::iota(list.begin(), list.end(), static_cast<std::int32_t>(first));
  return list;
}

static void dense(FullMethod& m) { m.dense(); }

static void all_tiles(FullMethod& m) {
  const auto& a = m.attention();
  Lists lists;
  for (std::int64_t r = 0; r < a.batch * a.q_heads * m.query_tiles().count(); ++r)
    lists.add(range(0, m.key_tiles().count()));
  m.block_sparse(lists);
}

static Lists keys(const tsr_attention& a, std::int64_t rows, std::int64_t first, std::int64_t end) {
  Lists lists;
  for (std::int64_t r = 0; r < a.batch * a.q_heads * ((a.q_len + rows - 1) / rows); ++r) lists.add(range(first, end));
  return lists;
}

static void all_keys(FullMethod& m) { m.index_list(keys(m.attention(), 3, 0, m.attention().kv_len), 3); }

// The first third of the keys, then the others, merged by lse.
static void in_two_parts(FullMethod& m) {
  const auto& a = m.attention();
  const std::int64_t cut = a.kv_len / 3;
  m.index_list(keys(a, 1, 0, cut), 1);
  std::vector<float> y(static_cast<std::size_t>(a.batch * a.q_heads * a.q_len * a.v_dim)),
      lse(static_cast<std::size_t>(a.batch * a.q_heads * a.q_len));
  tsr_attention_tensors rest = m.tensors();
  rest.y = {y.data(),
            {a.batch, a.q_heads, a.q_len, a.v_dim},
            {a.q_heads * a.q_len * a.v_dim, a.q_len * a.v_dim, a.v_dim, 1},
            dtype_of<float>,
            0};
  rest.lse = lse.data();
  m.index_list(keys(a, 1, cut, a.kv_len), 1, rest);
  m.merge(rest.y, rest.lse);
}

// Y = dense attention times a factor of its own.
static void scaled(FullMethod& m) {
  m.dense();
  const auto& y = m.tensors().y;
  const double factor = m.input(7).dtype ? static_cast<const double*>(m.input(7).data)[0] : 1;
  for (std::int64_t b = 0; b < y.dims[0]; ++b)
    for (std::int64_t h = 0; h < y.dims[1]; ++h)
      for (std::int64_t i = 0; i < y.dims[2]; ++i)
        for (std::int64_t c = 0; c < y.dims[3]; ++c)
          static_cast<double*>(y.data)[b * y.strides[0] + h * y.strides[1] + i * y.strides[2] + c] *= factor;
}

static void scaled_backward(FullMethod& m) {
  if (!m.backward()) throw std::logic_error("backward is taken for forward");
  if (m.input(7).dtype || m.output(3).dtype) throw std::invalid_argument("the gradient of factor is not written");
  m.dense();
}

constexpr tsr_parameter tile[] = {Parameter{
    .name = "tile", .type = TSR_INTEGERS, .fallback = "[4]", .low = 1, .high = 99, .doc = "tokens of a tile"}};
constexpr tsr_port factor[] = {Port{.name = "factor", .types = "f64", .doc = "[1]; absent: 1", .flags = TSR_OPTIONAL}};

constexpr tsr_method full(const char* name, decltype(tsr_method::forward) forward,
                          decltype(tsr_method::backward) backward, std::span<const tsr_parameter> parameters = {},
                          std::span<const tsr_port> inputs = {}) {
  return Method{.name = name,
                .doc = "Dense attention by another way.",
                .source = "none",
                .parameters = parameters,
                .forward = forward,
                .backward = backward,
                .inputs = inputs};
}

constexpr tsr_method methods[] = {
    full("test_dense", guard<dense>, guard<dense>), full("test_all_tiles", guard<all_tiles>, guard<all_tiles>, tile),
    full("test_all_keys", guard<all_keys>, guard<all_keys>), full("test_in_two_parts", guard<in_two_parts>, nullptr),
    full("test_scaled", guard<scaled>, guard<scaled_backward>, {}, factor)};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = Plugin{
      .name = "full_methods", .version = "1", .doc = "Full methods over the host's kernels.", .methods = methods};
  return &plugin;
}
