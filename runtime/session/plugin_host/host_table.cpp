// The table of functions that plugins are handed: each passes on to the call, and lets nothing escape.
#include "runtime/base/log.h"
#include "runtime/session/plugin_host/attention_functions.h"
#include "runtime/session/plugin_host/call.h"

namespace tessera {
namespace {

std::string_view text_or_empty(const char* text) { return text ? text : ""; }

// Failures of questions are remembered too, although the plugin sees the call as constant.
tsr_call& writable(const tsr_call* c) { return *const_cast<tsr_call*>(c); }

std::int32_t fail(tsr_call* c, const char* message) {
  return c->attempt([&] { throw Error(c->code_of_failure(), std::string(text_or_empty(message))); });
}

void log(tsr_call* c, const char* message) {
  c->attempt([&] { inform(std::string(text_or_empty(message))); });
}

tsr_tensor input(const tsr_call* c, std::uint32_t i) {
  return writable(c).answer<tsr_tensor>([&] { return c->input(i); });
}
tsr_tensor output(tsr_call* c, std::uint32_t i) {
  return c->answer<tsr_tensor>([&] { return c->output(i); });
}
std::int32_t set_output(tsr_call* c, std::uint32_t i, std::uint32_t dtype, const std::int64_t* dims,
                        std::uint32_t rank) {
  return c->attempt([&] {
    check(dims != nullptr || rank == 0, Code::plugin, "set_output is given no dims");
    c->set_output(i, dtype, {dims, rank});
  });
}

std::int32_t given(const tsr_call* c, const char* name) { return c->given(text_or_empty(name)); }
double real(const tsr_call* c, const char* name) {
  return writable(c).answer<double>([&] { return c->parameter(text_or_empty(name)).real(name); });
}
std::int64_t integer(const tsr_call* c, const char* name) {
  return writable(c).answer<std::int64_t>([&] { return c->parameter(text_or_empty(name)).integer(name); });
}
const std::int64_t* integers(const tsr_call* c, const char* name, std::int64_t* count) {
  if (count) *count = 0;
  return writable(c).answer<const std::int64_t*>([&] {
    check(count != nullptr, Code::plugin, "it asks for a list of integers without a place for their count");
    const auto& list = c->parameter(text_or_empty(name)).integers(name);
    *count = static_cast<std::int64_t>(list.size());
    static constexpr std::int64_t none = 0;  // null says that the call failed
    return list.empty() ? &none : list.data();
  });
}
const char* text(const tsr_call* c, const char* name) {
  return writable(c).answer<const char*>([&] { return c->parameter(text_or_empty(name)).text(name).c_str(); });
}

std::int32_t parallel(tsr_call* c, std::int64_t n, std::int64_t grain, void (*body)(void*, std::int64_t, std::int64_t),
                      void* user) {
  return c->attempt([&] { c->parallel(n, grain, body, user); });
}
std::int32_t lease_threads(tsr_call* c) {
  const auto threads = c->answer<std::int32_t>([&] { return c->lease_threads(); });
  return threads > 0 ? threads : 1;
}
void return_threads(tsr_call* c) {
  c->attempt([&] { c->return_threads(); });
}

std::int32_t choose(tsr_call* c, std::int64_t query_tile, const std::int32_t* key_tiles, std::int64_t count) {
  return c->attempt([&] {
    check(count >= 0 && (key_tiles || count == 0), Code::plugin, "it chooses ", count, " key tiles");
    c->choose(query_tile, {key_tiles, static_cast<std::size_t>(count)});
  });
}

std::int64_t grad_node(tsr_call* c, const char* op, const std::int64_t* in, std::uint32_t inputs,
                       const char* attributes, std::uint32_t outputs) {
  return c->answer<std::int64_t>([&] {
    check(in || inputs == 0, Code::plugin, "grad_node is given no handles for ", inputs, " inputs");
    return c->grad_node(text_or_empty(op), {in, inputs}, text_or_empty(attributes), outputs);
  });
}
std::int64_t grad_input(tsr_call* c, std::uint32_t i) {
  return c->answer<std::int64_t>([&] { return c->grad_input(i); });
}
std::int64_t grad_output(tsr_call* c, std::uint32_t i) {
  return c->answer<std::int64_t>([&] { return c->grad_output(i); });
}
std::int64_t grad_dout(tsr_call* c, std::uint32_t i) {
  return c->answer<std::int64_t>([&] { return c->grad_dout(i); });
}
std::int64_t grad_constant(tsr_call* c, double value) {
  return c->answer<std::int64_t>([&] { return c->grad_constant(value); });
}
std::int64_t grad_integers(tsr_call* c, const std::int64_t* values, std::int64_t count) {
  return c->answer<std::int64_t>([&] {
    check(count >= 0 && (values || count == 0), Code::plugin, "grad_integers is given ", count, " values");
    return c->grad_integers({values, static_cast<std::size_t>(count)});
  });
}
std::int32_t grad_needed(const tsr_call* c, std::uint32_t i) {
  return writable(c).answer<std::int32_t>([&] { return c->grad_needed(i) ? 1 : 0; });
}
std::int32_t set_grad(tsr_call* c, std::uint32_t i, std::int64_t value) {
  return c->attempt([&] { c->set_grad(i, value); });
}

constexpr tsr_host table = {.size = sizeof(tsr_host),
                            .abi_version = TSR_ABI_VERSION,
                            .fail = fail,
                            .log = log,
                            .input = input,
                            .output = output,
                            .set_output = set_output,
                            .given = given,
                            .real = real,
                            .integer = integer,
                            .integers = integers,
                            .text = text,
                            .parallel = parallel,
                            .lease_threads = lease_threads,
                            .return_threads = return_threads,
                            .choose = choose,
                            .block_sparse = host_block_sparse,
                            .block_sparse_backward = host_block_sparse_backward,
                            .index_list = host_index_list,
                            .index_list_backward = host_index_list_backward,
                            .dense = host_dense,
                            .dense_backward = host_dense_backward,
                            .merge_by_lse = host_merge_by_lse,
                            .grad_node = grad_node,
                            .grad_input = grad_input,
                            .grad_output = grad_output,
                            .grad_dout = grad_dout,
                            .grad_constant = grad_constant,
                            .grad_integers = grad_integers,
                            .grad_needed = grad_needed,
                            .set_grad = set_grad};

}  // namespace

const tsr_host& plugin_host() { return table; }

}  // namespace tessera
