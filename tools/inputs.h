#pragma once
// The inputs of a run, from the flags.
#include <string>

#include "runtime/session/session.h"
#include "tools/flags.h"

namespace tessera {

// What to do about inputs that no flag gives: refuse, or draw them, which is remarked on unless that was done before.
enum class Missing { error, random, random_again };

// Every input of `graph` by name, and nothing else. Sizes of generated inputs come from --shape, --set and from the
// tensors given. Errors: bad_input with the flag to add.
NamedTensors make_inputs(const InputFlags& flags, const Graph& graph, Missing missing = Missing::error);

// Those inputs that files give, with their sizes; generated ones are left out.
NamedTensors given_inputs(const InputFlags& flags, const Graph& graph);

// One tensor from a file or a recipe ("random:normal,seed=7"), which takes `dtype` and `shape`.
Tensor tensor_from(const std::string& spec, const std::string& name, DType dtype, const Shape& shape);

// The tensors of --inputs: a folder of input_N.pb or an .npz file, matched to the graph's inputs.
NamedTensors stored_inputs(const std::string& path, const Graph& graph);

// What --shape, --set and the tensors given say about sizes.
Binding binding_of(const InputFlags& flags, const Graph& graph, const NamedTensors& given);

}  // namespace tessera
