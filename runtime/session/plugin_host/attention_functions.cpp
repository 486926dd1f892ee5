#include "runtime/session/plugin_host/attention_functions.h"

#include "ops/attention/index_lists.h"
#include "runtime/session/plugin_host/attention_call.h"

namespace tessera {
namespace {

constexpr std::uint32_t sizeof_attention = 88, sizeof_tensors = 664;  // in ABI 1

void check_size(const char* type, std::uint32_t size, std::uint32_t first) {
  check(size >= first, Code::plugin, "an attention kernel is given a ", type, " of ", size, " bytes; it has at least ",
        first);
}

template <class T>
AttentionView<T> view_as(const tsr_view& v) {
  return {static_cast<T*>(v.data), v.strides[0], v.strides[1], v.strides[2]};
}

AttentionShape shape_of(const tsr_attention& a) {
  const AttentionShape s{a.batch, a.q_heads, a.kv_heads, a.q_len, a.kv_len, a.qk_dim, a.v_dim};
  for (const auto n : {s.batch, s.q_heads, s.kv_heads, s.q_len, s.kv_len, s.qk_dim, s.v_dim})
    check(n >= 0, Code::plugin, "an attention has a size of ", n);
  check(s.kv_heads > 0 && s.q_heads % s.kv_heads == 0, Code::plugin, "an attention has ", s.q_heads,
        " query heads for ", s.kv_heads, " key heads");
  return s;
}

void check_view(const char* name, const tsr_view& v, std::array<std::int64_t, 4> dims, std::uint32_t dtype) {
  const Shape given(v.dims), expected{dims[0], dims[1], dims[2], dims[3]};
  check(v.data != nullptr || count(expected) == 0, Code::plugin, name, " has no data");
  check(given == expected, Code::plugin, name, " is ", given, ", the attention needs ", expected);
  check(v.dtype == dtype, Code::plugin, name, " has another element type than q");
  check(v.strides[3] == 1, Code::plugin, name, " has elements ", v.strides[3], " apart along dim; must be 1");
}

bool no_queries(const AttentionShape& s) { return s.batch == 0 || s.q_heads == 0 || s.q_len == 0; }

void check_tensors(const tsr_attention_tensors& t, const AttentionShape& s, bool backward) {
  const std::array<std::int64_t, 4> q{s.batch, s.q_heads, s.q_len, s.qk_dim},
      k{s.batch, s.kv_heads, s.kv_len, s.qk_dim}, v{s.batch, s.kv_heads, s.kv_len, s.v_dim},
      y{s.batch, s.q_heads, s.q_len, s.v_dim};
  check_view("q", t.q, q, t.q.dtype);
  check_view("k", t.k, k, t.q.dtype);
  check_view("v", t.v, v, t.q.dtype);
  check_view("y", t.y, y, t.q.dtype);
  check(t.lse != nullptr || no_queries(s), Code::plugin, "lse has no data");
  if (!backward) return;
  check_view("dy", t.dy, y, t.q.dtype);
  check_view("dq", t.dq, q, t.q.dtype);
  check_view("dk", t.dk, k, t.q.dtype);
  check_view("dv", t.dv, v, t.q.dtype);
}

// Rows as counted, each ascending, below `limit`.
void check_lists(const tsr_lists& l, std::int64_t rows, std::int64_t limit) {
  check(l.rows == rows, Code::plugin, "there are ", l.rows, " lists, ", rows, " are needed");
  check(l.begin && l.begin[0] == 0, Code::plugin, "lists begin at 0");
  check(l.item || l.begin[rows] == 0, Code::plugin, "there are ", rows, " lists without their items");
  for (std::int64_t r = 0; r < rows; ++r) {
    check(l.begin[r] <= l.begin[r + 1], Code::plugin, "list ", r, " ends before it begins");
    for (auto i = l.begin[r]; i < l.begin[r + 1]; ++i) {
      const bool ascending = i == l.begin[r] || l.item[i - 1] < l.item[i];
      check(ascending && l.item[i] >= 0 && l.item[i] < limit, Code::plugin, "list ", r,
            " must ascend and stay in 0 .. ", limit - 1, "; it has ", l.item[i]);
    }
  }
}

void check_source(const std::int32_t* source, const AttentionShape& s, const TokenTiles& tiles) {
  for (std::int64_t h = 0; source && h < s.batch * s.q_heads; ++h, source += s.q_len)
    for (std::int64_t t = 0; t < tiles.tiles(); ++t)
      for (std::int64_t p = tiles.first[t]; p < tiles.first[t + 1]; ++p)
        check(source[p] == -1 ||
                  (source[p] >= tiles.first[t] && source[p] < tiles.first[t + 1] && source[source[p]] == source[p]),
              Code::plugin, "the source of the query at place ", p, " is ", source[p],
              ": it must be computed and in the same tile");
}

template <class T>
AttentionGradients<T> gradients_of(const tsr_attention_tensors& t) {
  return {view_as<T>(t.dq), view_as<T>(t.dk), view_as<T>(t.dv)};
}

// The tiles of the call, which the plugin hands back.
std::pair<const TokenTiles*, const TokenTiles*> tiles_of(tsr_call* c, const tsr_attention& a) {
  const auto* call = dynamic_cast<const MethodFunctionCall*>(c);
  check(call && call->call.query_tiles && a.query_tiles && a.key_tiles, Code::plugin,
        "block_sparse needs tiles: the method must have a parameter 'tile'");
  const auto *q = call->call.query_tiles, *k = call->call.key_tiles;
  check(a.query_tiles->order == q->order.data() && a.key_tiles->order == k->order.data() && q->tokens() == a.q_len &&
            k->tokens() == a.kv_len,
        Code::plugin, "block_sparse takes the tiles and lengths that the call came with");
  return {q, k};
}

template <class F>
std::int32_t with_floats(tsr_call* c, const tsr_attention* a, const tsr_attention_tensors* t, bool backward, F f) {
  return c->attempt([&] {
    check(a && t, Code::plugin, "an attention kernel is given no tensors");
    check_size("tsr_attention", a->size, sizeof_attention);
    check_size("tsr_attention_tensors", t->size, sizeof_tensors);
    const AttentionShape shape = shape_of(*a);
    check_tensors(*t, shape, backward);
    with_type(Floats{}, static_cast<DType>(t->q.dtype), [&]<class T>(Type<T>) { f.template operator()<T>(shape); });
  });
}

BlockLists block_lists(const tsr_lists* l, const AttentionShape& s, const TokenTiles& q, const TokenTiles& k) {
  check(l != nullptr, Code::plugin, "block_sparse is given no lists");
  const std::int64_t rows = s.batch * s.q_heads * q.tiles();
  check_lists(*l, rows, k.tiles());
  return {q.tiles(), k.tiles(), {l->begin, l->begin + rows + 1}, {l->item, l->item + l->begin[rows]}};
}

IndexLists index_lists(const tsr_lists* l, const AttentionShape& s, std::int64_t rows) {
  check(l != nullptr, Code::plugin, "index_list is given no lists");
  check(rows >= 1, Code::plugin, "index_list has groups of ", rows, " queries");
  const std::int64_t groups = s.q_len == 0 ? 0 : (s.q_len - 1) / rows + 1, lists = s.batch * s.q_heads * groups;
  check_lists(*l, lists, s.kv_len);
  return {rows, groups, {l->begin, l->begin + lists + 1}, {l->item, l->item + l->begin[lists]}};
}

}  // namespace

std::int32_t host_block_sparse(tsr_call* c, const tsr_attention* a, const tsr_lists* l, const std::int32_t* source,
                               const tsr_attention_tensors* t) {
  return with_floats(c, a, t, false, [&]<class T>(const AttentionShape& s) {
    const auto [q, k] = tiles_of(c, *a);
    check_source(source, s, *q);
    const BlockLists lists = block_lists(l, s, *q, *k);
    const BlockSparse<T> problem{
        s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), a->scale, q, k, &lists, source};
    block_sparse_forward<T>(problem, view_as<T>(t->y), static_cast<Compute<T>*>(t->lse));
  });
}

std::int32_t host_block_sparse_backward(tsr_call* c, const tsr_attention* a, const tsr_lists* l,
                                        const std::int32_t* source, const tsr_attention_tensors* t) {
  return with_floats(c, a, t, true, [&]<class T>(const AttentionShape& s) {
    const auto [q, k] = tiles_of(c, *a);
    check_source(source, s, *q);
    const BlockLists lists = block_lists(l, s, *q, *k);
    const BlockSparse<T> problem{
        s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), a->scale, q, k, &lists, source};
    block_sparse_backward<T>(problem, view_as<const T>(t->y), static_cast<const Compute<T>*>(t->lse),
                             view_as<const T>(t->dy), static_cast<const Compute<T>*>(t->dlse), gradients_of<T>(*t));
  });
}

std::int32_t host_index_list(tsr_call* c, const tsr_attention* a, const tsr_lists* l, std::int64_t rows,
                             const tsr_attention_tensors* t) {
  return with_floats(c, a, t, false, [&]<class T>(const AttentionShape& s) {
    index_list_forward<T>(s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), a->scale,
                          index_lists(l, s, rows), view_as<T>(t->y), static_cast<Compute<T>*>(t->lse));
  });
}

std::int32_t host_index_list_backward(tsr_call* c, const tsr_attention* a, const tsr_lists* l, std::int64_t rows,
                                      const tsr_attention_tensors* t) {
  return with_floats(c, a, t, true, [&]<class T>(const AttentionShape& s) {
    index_list_backward<T>(s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), a->scale,
                           index_lists(l, s, rows), view_as<const T>(t->y), static_cast<const Compute<T>*>(t->lse),
                           view_as<const T>(t->dy), static_cast<const Compute<T>*>(t->dlse), gradients_of<T>(*t));
  });
}

std::int32_t host_dense(tsr_call* c, const tsr_attention* a, const tsr_attention_tensors* t) {
  return with_floats(c, a, t, false, [&]<class T>(const AttentionShape& s) {
    attention_forward<T>(s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), {}, a->scale, 0,
                         view_as<T>(t->y), static_cast<Compute<T>*>(t->lse));
  });
}

std::int32_t host_dense_backward(tsr_call* c, const tsr_attention* a, const tsr_attention_tensors* t) {
  return with_floats(c, a, t, true, [&]<class T>(const AttentionShape& s) {
    attention_backward<T>(s, view_as<const T>(t->q), view_as<const T>(t->k), view_as<const T>(t->v), {}, a->scale, 0,
                          view_as<const T>(t->y), static_cast<const Compute<T>*>(t->lse), view_as<const T>(t->dy),
                          gradients_of<T>(*t), static_cast<const Compute<T>*>(t->dlse));
  });
}

std::int32_t host_merge_by_lse(tsr_call* c, const tsr_attention* a, const tsr_view* y, void* lse, const tsr_view* other,
                               const void* other_lse) {
  return c->attempt([&] {
    check(a && y && other, Code::plugin, "merge_by_lse is given null");
    check_size("tsr_attention", a->size, sizeof_attention);
    const AttentionShape s = shape_of(*a);
    check((lse && other_lse) || no_queries(s), Code::plugin, "merge_by_lse is given null");
    const std::array<std::int64_t, 4> dims{s.batch, s.q_heads, s.q_len, s.v_dim};
    check_view("y", *y, dims, y->dtype);
    check_view("the other y", *other, dims, y->dtype);
    with_type(Floats{}, static_cast<DType>(y->dtype), [&]<class T>(Type<T>) {
      merge_by_lse<T>(s, view_as<T>(*y), static_cast<Compute<T>*>(lse), view_as<const T>(*other),
                      static_cast<const Compute<T>*>(other_lse));
    });
  });
}

}  // namespace tessera
