#include "runtime/session/plugin_host/methods.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "runtime/session/plugin_host/attention_call.h"
#include "runtime/session/plugin_host/nan_scan.h"
#include "runtime/session/plugin_host/tables.h"

namespace tessera {
namespace {

const AdoptedMethod& adopted(const AttentionMethod& m) { return *static_cast<const AdoptedMethod*>(m.user); }

// Runs one of the table's functions that take the call and the attention, and maybe more.
template <class F>
auto run(const AttentionMethod& m, MethodFunctionCall& call, const char* what, F f) {
  const AdoptedMethod& a = adopted(m);
  return in_plugin(a.frame, [&] {
    const AttentionStruct attention(call.call);
    if constexpr (std::is_same_v<decltype(f(*a.table, attention.get())), std::int32_t>)
      call.run_function(what, [&] { return f(*a.table, attention.get()); });
    else
      return call.run(what, [&] { return f(*a.table, attention.get()); });
  });
}

// What the plugin refuses is the caller's fault: a policy or a model asked for it.
class CheckCall final : public MethodFunctionCall {
 public:
  using MethodFunctionCall::MethodFunctionCall;
  Code code_of_failure() const override { return Code::bad_input; }
};

void check_call(const AttentionMethod& m, const MethodCall& call) {
  CheckCall c(call);
  run(m, c, "check", [&](const tsr_method& t, const tsr_attention* a) { return t.check(&plugin_host(), &c, a); });
}

void keep(const AttentionMethod& m, const MethodCall& call, const KeepTask& task) {
  const auto tokens = static_cast<std::int64_t>(task.source.size());
  const tsr_keep_task c_task{.size = sizeof(tsr_keep_task),
                             .axes = static_cast<std::uint32_t>(task.extents.size()),
                             .batch = task.batch,
                             .head = task.head,
                             .tile = task.tile,
                             .extents = task.extents.data(),
                             .tokens = tokens,
                             .dim = call.shape.qk_dim,
                             .queries = task.queries,
                             .source = task.source.data()};
  constexpr std::int32_t not_set = -2;
  std::fill(task.source.begin(), task.source.end(), not_set);
  MethodFunctionCall c(call);
  run(m, c, "keep",
      [&](const tsr_method& t, const tsr_attention* a) { return t.keep(&plugin_host(), &c, a, &c_task); });
  in_plugin(adopted(m).frame, [&] {
    for (std::int64_t i = 0; i < tokens; ++i) {
      const auto s = task.source[static_cast<std::size_t>(i)];
      check(s != not_set, Code::plugin, "its keep says nothing of token ", i, " of query tile ", task.tile);
      check(s >= -1 && s < tokens, Code::plugin, "its keep gives token ", i, " of query tile ", task.tile,
            " the source ", s, "; the tile has ", tokens, " tokens");
      check(s < 0 || task.source[static_cast<std::size_t>(s)] == s, Code::plugin, "its keep gives token ", i,
            " of query tile ", task.tile, " the source ", s, ", which is not computed itself");
    }
  });
}

class SelectCall final : public MethodFunctionCall {
 public:
  SelectCall(const MethodCall& call, const SelectTask& task, std::int64_t width)
      : MethodFunctionCall(call),
        task_(task),
        width_(width),
        seen_(static_cast<std::size_t>(call.key_tiles->tiles()), -1),
        chosen_(static_cast<std::size_t>(task.count)) {}

  void choose(std::int64_t query_tile, std::span<const std::int32_t> key_tiles) override {
    const std::int64_t i = query_tile - task_.first;
    check(i >= 0 && i < task_.count, Code::plugin, "its select chooses for query tile ", query_tile,
          ", it was asked for ", task_.first, " to ", task_.first + task_.count - 1);
    const auto at = static_cast<std::size_t>(i);
    check(!chosen_[at], Code::plugin, "its select chooses twice for query tile ", query_tile);
    check(static_cast<std::int64_t>(key_tiles.size()) <= width_, Code::plugin, "its select chooses ", key_tiles.size(),
          " key tiles for query tile ", query_tile, ", its width says at most ", width_);
    for (const auto tile : key_tiles) {
      check(tile >= 0 && tile < static_cast<std::int64_t>(seen_.size()), Code::plugin, "its select chooses key tile ",
            tile, " for query tile ", query_tile, "; there are ", seen_.size());
      auto& last = seen_[static_cast<std::size_t>(tile)];
      check(last != query_tile, Code::plugin, "its select chooses key tile ", tile, " twice for query tile ",
            query_tile);
      last = query_tile;
    }
    chosen_[at] = 1;
    task_.lists[at].assign(key_tiles.begin(), key_tiles.end());
  }

  void check_all_chosen() const {
    for (std::size_t i = 0; i < chosen_.size(); ++i)
      check(chosen_[i], Code::plugin, "its select forgets query tile ", task_.first + static_cast<std::int64_t>(i),
            "; an empty list says that it attends to nothing");
  }

 private:
  const SelectTask& task_;
  const std::int64_t width_;
  std::vector<std::int64_t> seen_;  // by key tile: the query tile that chose it last
  std::vector<char> chosen_;
};

std::int64_t width(const AttentionMethod& m, const MethodCall& call) {
  MethodFunctionCall c(call);
  const auto width =
      run(m, c, "width", [&](const tsr_method& t, const tsr_attention* a) { return t.width(&plugin_host(), &c, a); });
  in_plugin(adopted(m).frame, [&] {
    check(width >= 0 && width <= call.key_tiles->tiles(), Code::plugin, "its width is ", width, "; there are ",
          call.key_tiles->tiles(), " key tiles");
  });
  return width;
}

void select(const AttentionMethod& m, const MethodCall& call, const SelectTask& task) {
  const tsr_select_task c_task{.size = sizeof(tsr_select_task),
                               .reserved = 0,
                               .batch = task.batch,
                               .head = task.head,
                               .first = task.first,
                               .count = task.count,
                               .key_tiles = call.key_tiles->tiles(),
                               .scores = task.scores};
  SelectCall c(call, task, adopted(m).table->width ? width(m, call) : call.key_tiles->tiles());
  run(m, c, "select",
      [&](const tsr_method& t, const tsr_attention* a) { return t.select(&plugin_host(), &c, a, &c_task); });
  in_plugin(adopted(m).frame, [&] { c.check_all_chosen(); });
}

double pairs(const AttentionMethod& m, const MethodCall& call) {
  MethodFunctionCall c(call);
  const double pairs =
      run(m, c, "pairs", [&](const tsr_method& t, const tsr_attention* a) { return t.pairs(&plugin_host(), &c, a); });
  in_plugin(adopted(m).frame, [&] {
    check(std::isfinite(pairs) && pairs >= 0, Code::plugin, "its pairs are ", pairs, ", which is no number of them");
  });
  return pairs;
}

// [batch, heads, length, dim] of a view whose dim has stride 1.
tsr_view view_of(const void* data, std::int64_t batch_stride, std::int64_t head_stride, std::int64_t row_stride,
                 const MethodCall& call, bool query, bool value, DType dtype) {
  const AttentionShape& s = call.shape;
  return {.data = const_cast<void*>(data),
          .dims = {s.batch, query ? s.q_heads : s.kv_heads, query ? s.q_len : s.kv_len, value ? s.v_dim : s.qk_dim},
          .strides = {batch_stride, head_stride, row_stride, 1},
          .dtype = static_cast<std::uint32_t>(dtype),
          .reserved = 0};
}

tsr_attention_tensors struct_of(const MethodCall& call, const MethodTensors& t) {
  const auto view = [&](const auto& v, bool query, bool value) {
    return view_of(v.data, v.batch_stride, v.head_stride, v.row_stride, call, query, value, t.dtype);
  };
  return {.size = sizeof(tsr_attention_tensors),
          .reserved = 0,
          .q = view(t.q, true, false),
          .k = view(t.k, false, false),
          .v = view(t.v, false, true),
          .y = view(t.y, true, true),
          .lse = t.lse,
          .dy = view(t.dy, true, true),
          .dq = view(t.dq, true, false),
          .dk = view(t.dk, false, false),
          .dv = view(t.dv, false, true),
          .dlse = t.dlse};
}

ScannedView scanned(const tsr_view& v) {
  return {static_cast<DType>(v.dtype),
          v.data,
          v.dims[0],
          v.dims[1],
          v.dims[2],
          v.dims[3],
          v.strides[0],
          v.strides[1],
          v.strides[2]};
}

// NaN that came of finite operands is a fault of the method: rows it did not write.
void check_nan(const AttentionMethod& m, const MethodTensors& tensors,
               std::initializer_list<std::pair<const char*, const tsr_view*>> written,
               std::initializer_list<const tsr_view*> read) {
  for (const auto& [name, view] : written) {
    if (!has_nan(scanned(*view))) continue;
    bool finite = std::all_of(read.begin(), read.end(), [](const tsr_view* v) { return all_finite(scanned(*v)); });
    for (const Tensor* t : tensors.inputs) finite = finite && (!t || all_finite(*t));
    if (!finite) return;
    in_plugin(adopted(m).frame, [&, name = name] {
      throw Error(Code::plugin, concat("it writes NaN to ", name, ", although all its operands are finite"));
    });
  }
}

void forward(const AttentionMethod& m, const MethodCall& call, const MethodTensors& tensors) {
  FullMethodCall c(call, tensors, false);
  const tsr_attention_tensors t = struct_of(call, tensors);
  run(m, c, "forward",
      [&](const tsr_method& table, const tsr_attention* a) { return table.forward(&plugin_host(), &c, a, &t); });
  check_nan(m, tensors, {{"Y", &t.y}}, {&t.q, &t.k, &t.v});
}

void backward(const AttentionMethod& m, const MethodCall& call, const MethodTensors& tensors) {
  FullMethodCall c(call, tensors, true);
  tsr_attention_tensors t = struct_of(call, tensors);
  // Methods tell backward from forward by these having data, also where there are no elements.
  static std::max_align_t nothing;
  for (tsr_view* v : {&t.dy, &t.dq, &t.dk, &t.dv})
    if (!v->data) v->data = &nothing;
  run(m, c, "backward",
      [&](const tsr_method& table, const tsr_attention* a) { return table.backward(&plugin_host(), &c, a, &t); });
  check_nan(m, tensors, {{"dQ", &t.dq}, {"dK", &t.dk}, {"dV", &t.dv}}, {&t.q, &t.k, &t.v, &t.dy});
}

}  // namespace

std::unique_ptr<const AttentionMethod> adopt(AdoptedMethod& to, const tsr_method& table, const tsr_plugin& plugin,
                                             const std::string& frame) try {
  to.table = &table;
  to.frame = frame;
  auto m = std::make_unique<AttentionMethod>();
  m->name = table.name;
  m->doc = table.doc;
  m->source = table.source;
  m->library = plugin.name;
  m->library_version = plugin.version;
  m->version = static_cast<int>(table.version);
  m->parameters = parameters_of(table.parameters, table.parameter_count);
  m->coarse_gate = table.coarse_gate != 0;
  if (table.check) m->check = check_call;
  if (table.keep) m->keep = keep;
  if (table.select) m->select = select;
  if (table.width) m->width = width;
  if (table.forward) m->forward = forward;
  if (table.backward) m->backward = backward;
  if (table.pairs) m->pairs = pairs;
  for (const tsr_port& p : std::span(table.inputs, table.input_count)) {
    check(!(p.flags & TSR_VARIADIC), Code::plugin, port_label(true, p), " is variadic; those of methods cannot be");
    m->inputs.push_back({p.name, p.doc, types_of(p.types), (p.flags & TSR_OPTIONAL) != 0});
  }
  for (const auto e : examples_of(table.examples, table.example_count)) m->examples.emplace_back(e);
  m->user = &to;
  return m;
} catch (Error& e) {
  throw e.in(concat("attention method '", table.name, "'"));
}

}  // namespace tessera
