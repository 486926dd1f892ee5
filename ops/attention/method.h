#pragma once
// An attention method: what makes a sparse attention different from the others, and nothing else.
//
//   token grid -> tiles -> keep (which queries) -> scores of tile means -> select (which key tiles)
//     -> block-sparse attention -> copies to the queries that were not kept -> + gate * coarse attention over tile
//     means
//
// A method is a record of a parameter schema and a few of these steps; the host does the rest, forward and backward,
// with statistics and pictures. make_operator turns a record into operators `tessera.attention::NAME` and `NAMEGrad`. A
// method that is no selection of tiles brings its own forward and backward instead. Plugins fill in the same record
// through C structs (plugins/sdk/tessera/plugin.h).
//
// Thread rule: records are constants; their functions are called from several threads at once, for different heads or
// tiles. Errors: functions throw Error with the local fact.
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/attention/block_sparse.h"
#include "ops/attention/geometry.h"
#include "runtime/op/context.h"

namespace tessera {

// What a method may be told, under its YAML name.
struct MethodParameter {
  std::string name;
  AttributeType type = AttributeType::real;  // integer, real, text, integers
  std::string fallback;  // as written in YAML, "[4, 4, 4]"; empty: optional without a default; or "required"
  double low = -INFINITY, high = INFINITY;  // inclusive, for numbers and each of a list
  std::string choices;                      // of a text: "slot|mean"; empty: any
  std::string doc;                          // in words, with units
};

// The value that `text`, as written in YAML, has for this parameter; true and false are 1 and 0. Errors: bad_input when
// it is none, or out of range.
Attribute parse_parameter(const MethodParameter& parameter, std::string_view text);
// Refuses values of another type (an integer will do for a real), out of range or among no choices: Error(bad_input).
void check_parameter(const MethodParameter& parameter, const Attribute& value);
// The parameter in an operator's table: `texts` keeps what it points to. `doc` is completed by the default of a list,
// which AttributeDef has no place for.
AttributeDef attribute_of(const MethodParameter& parameter, std::string doc, std::deque<std::string>& texts);

// The shortest decimal that the f32 stands for: attributes are f32, and a bound of 0.1, or a count such as
// ceil(0.9 * 1000), must not see the digits that f32 adds to what was written.
double as_written(float x);

// The parameters of one node, defaults filled in and ranges checked.
class MethodParameters {
 public:
  // Attributes that the schema does not name are left alone. Errors: bad_input for a wrong type, a value out of range
  // or one that is required and missing, naming the parameter.
  MethodParameters(const std::vector<MethodParameter>& schema, const Attributes& given);
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  // Also of an integer. Of an f32, the shortest decimal that it stands for: 0.9, not 0.89999998.
  double real(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;

 private:
  Attributes values_;
};

// One call as the method's functions see it: sizes and parameters, no tensors.
struct MethodCall {
  AttentionShape shape;
  double scale = 1;
  const MethodParameters* parameters = nullptr;
  const TokenTiles *query_tiles = nullptr, *key_tiles = nullptr;  // null where the method has no tiles
  // Query head h of `shape` is head first_head + h * head_step of the attention: a policy may give a method only some.
  std::int64_t first_head = 0, head_step = 1;
  std::int64_t head(std::int64_t h) const { return first_head + h * head_step; }
};

// Which queries of one tile are computed. head: of the attention.
struct KeepTask {
  std::int64_t batch, head, tile;
  std::span<const std::int64_t> extents;  // of the tile, clipped, per axis
  const float* queries;                   // [tokens of the tile][qk_dim]
  // To be set for each token: its own place in the tile (computed), another's whose output it takes, or -1 (zeros).
  std::span<std::int32_t> source;
};

// Which key tiles some query tiles of one head (of the attention) attend to.
struct SelectTask {
  std::int64_t batch, head, first, count;  // query tiles [first, first + count)
  const float* scores;                     // [count][key tiles]: scale * mean of kept queries . mean of keys
  // One list per query tile, in any order; sorted by the host. A tile twice or out of range is an error.
  std::vector<std::vector<std::int32_t>>& lists;
};

// An input of a full method's own, from 7 on.
struct MethodInput {
  std::string name, doc;
  DTypeSet types = dtypes::floats;
  bool optional = false;
};

// The tensors of one call where they lie; views hold elements of `dtype`. lse and dlse: [batch][q_heads][q_len], f64
// for f64 operands, else f32.
struct MethodTensors {
  DType dtype = DType::undefined;
  AttentionView<const void> q, k, v;
  AttentionView<const void> gate;     // as y; no data: absent (selectors with a coarse gate)
  std::vector<const Tensor*> inputs;  // a full method's own inputs, null where absent
  AttentionView<void> y;              // written by forward, read by backward
  void* lse = nullptr;                // the same; never null
  AttentionView<const void> dy;       // from here on: backward only
  const void* dlse = nullptr;         // null: zeros
  AttentionView<void> dq, dk, dv;     // overwritten
  AttentionView<void> dgate;          // overwritten; no data: not wanted
  std::vector<Tensor*> dinputs;       // gradients of `inputs`, to be overwritten; null where not wanted
};

struct AttentionMethod {
  std::string name, doc, source;
  std::string library, library_version;  // the plugin that brought it; empty for built-in
  int version = 1;                       // of the semantics; the opset import of a saved file
  std::vector<MethodParameter> parameters;

  // Refuses parameters and shapes that do not go together: Error(bad_input). May be null.
  void (*check)(const AttentionMethod&, const MethodCall&) = nullptr;

  // A selector: cuts the token grid by parameter `tile` and selects key tiles.
  void (*keep)(const AttentionMethod&, const MethodCall&, const KeepTask&) = nullptr;  // null: all queries
  void (*select)(const AttentionMethod&, const MethodCall&, const SelectTask&) = nullptr;
  // The longest list that select may give; null: all key tiles. For the size of the `selection` output.
  std::int64_t (*width)(const AttentionMethod&, const MethodCall&) = nullptr;
  // Input 7 is a `gate` in the shape of Y: Y += gate * (softmax(scores) means of V), broadcast over each tile. Absent:
  // no such term.
  bool coarse_gate = false;

  // A full method: inputs of its own, forward and backward (null: no gradient). Views may have any strides.
  std::vector<MethodInput> inputs;
  void (*forward)(const AttentionMethod&, const MethodCall&, const MethodTensors&) = nullptr;
  void (*backward)(const AttentionMethod&, const MethodCall&, const MethodTensors&) = nullptr;
  // Pairs (query, key) that a call computes over all batch entries and heads, before it runs, for predictions; null:
  // from `width`.
  double (*pairs)(const AttentionMethod&, const MethodCall&) = nullptr;

  std::vector<std::string> examples;  // of the forward operator, as OpDef::examples
  const void* user = nullptr;         // the plugin's own table
};

// Ports of every method operator. Inputs 0-6 and outputs 0-5 are those of tessera.attention::dense; then come the
// method's own inputs from 7 on (a selector's `gate`). A selector's last input is `selection`, which freezes its
// choice.
//
// Output 6 of a selector, and that last input, `selection`: i32 [B, Hq, query tiles, width + largest tile], in each row
// the key tiles ascending, -1 after the last; then, for each token of the query tile in tiled order,
// KeepTask::source, -2 beyond the tile. It stands for all the choices of a selector: with it, forward and backward are
// smooth functions.
//
// NAMEGrad: inputs are the forward's without `selection`, then Y, lse, dY, dlse (optional), and a selector's selection;
// outputs dQ, dK, dV, then gradients of the method's own inputs.
struct MethodOperators {
  const OpDef* forward;
  const OpDef* backward;
};

// The record and the operators live as long as the process; a name that is taken is an Error(plugin). Methods can then
// be found by name from anywhere (by_head, policies). Thread-safe.
MethodOperators make_operator(std::unique_ptr<const AttentionMethod> method);

// Null when there is none. `dense` is a method without parameters.
const AttentionMethod* find_method(std::string_view name);
std::vector<const AttentionMethod*> all_methods();
// Of a node's operator in domain tessera.attention (also NAMEGrad); null for others.
const AttentionMethod* method_of(const OpDef& op);

}  // namespace tessera
