#pragma once
// NumPy's .npz files: a zip archive of .npy files, one per array, "NAME.npy" each.
#include <map>
#include <string>

#include "runtime/tensor/tensor.h"

namespace tessera {

// All arrays by name. Stored and deflated members, zip64; check sums are verified. Errors: bad_input naming the member;
// unsupported as for .npy, or for an encrypted or otherwise compressed member.
std::map<std::string, Tensor> read_npz(const std::string& path);
// The array `name`, or the only one; the others are not looked at.
Tensor read_npz_array(const std::string& path, const std::string& name);

// Members are stored uncompressed, as numpy.savez does; zip64 where sizes need it. Written aside, then renamed.
void write_npz(const std::string& path, const std::map<std::string, Tensor>& arrays);

}  // namespace tessera
