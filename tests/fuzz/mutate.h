#pragma once
// Random damage to a model, the same for the same state of the generator.
#include <random>
#include <string>

namespace tessera {

// A small good model with most that a file may hold: a function, branches, weights of every storage, metadata.
std::string fuzz_seed();

// Flips, inserts, removes or repeats bytes.
std::string mutate_bytes(std::string bytes, std::mt19937& random);
// Changes fields of the parsed model, so that most results parse and reach the checks behind the parser.
std::string mutate_fields(const std::string& bytes, std::mt19937& random);

}  // namespace tessera
