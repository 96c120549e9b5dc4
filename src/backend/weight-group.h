// Weights that read the same activation, brought into codes together: they share one quantized activation, so they must
// agree on its basis, and what is known of it serves them all.
//
// Invariant: a group is prepared once, from the weights that had arrived; a weight that comes later, or again, uses the
// same preparation.
#pragma once

#include "backend/plugin.h"

#include <string>
#include <vector>

namespace rknpu {

struct packed_buffer;

struct weight_group {
    std::string name;
    size_t K;
    bool integer;                         // format of its weights
    std::vector<packed_tensor *> members; // that could be on the NPU
    packed_buffer * buffer = nullptr;     // whose weights they are
    weight_store * store = nullptr;       // of its buffer; nullptr: none could be opened
    bool prepared = false;
    preparation how;
};

// A weight with all its bytes in the tensor's own type.
struct arrived_weight {
    packed_tensor * t;
    const ggml_tensor * tensor;
    const uint8_t * data;
};

// Prepares the group if it was not yet, and converts these members.
void convert_weights(weight_group & group, const std::vector<arrived_weight> & weights);

// The rows of a weight as f32; of all its matrices, if it is a stack.
row_source rows_of(const ggml_tensor * tensor, const uint8_t * data);

} // namespace rknpu
