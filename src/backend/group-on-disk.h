// The weights of an activation group as one record of a store: how it is named, and how it comes and goes.
//
// Invariant: the key holds all that the codes depend on: contents, shapes and types of all weights of the group, their
// plans, the settings and statistics of the conversion, and a version of its arithmetic. Equal keys, equal codes.
#pragma once

#include "backend/weight-group.h"

namespace rknpu {

// The key of these weights, converted together. statistics: what is known of the activation, as text.
hash128 key_of(const weight_group & group, const std::vector<arrived_weight> & weights, const std::string & statistics);

// Fills the weights and the group's basis from disk; false, with nothing done, if they are not there or damaged.
bool read_group(weight_group & group, const std::vector<arrived_weight> & weights, const hash128 & key);

// Leaves them on disk, where that is wished.
void keep_group(const weight_group & group, const std::vector<arrived_weight> & weights, const hash128 & key);

} // namespace rknpu
