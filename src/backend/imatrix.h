// The importance matrix of llama-imatrix: mean squares of every activation column, by the name of the weight.
//
// Invariant: values are finite and not negative. A weight that was never used is not listed.
#pragma once

#include "base/status.h"

#include <map>
#include <string>
#include <vector>

namespace rknpu {

using column_importance = std::map<std::string, std::vector<float>>; // weight name -> K mean squares

// Reads a file in GGUF (llama-imatrix's default). Experts of one weight count together, each as often as it was used.
// status: not_found; invalid_argument for another kind of file or a damaged one.
result<column_importance> read_imatrix(const std::string & path);

} // namespace rknpu
