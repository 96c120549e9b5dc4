// A policy as a user gives it: the text itself, or @ and the name of a file with one item per line.
//
// Invariant: the only function of this room that reads a file; what is in it is judged by policy.h.
#pragma once

#include "plan/policy.h"

#include <string>

namespace rknpu {

// status: invalid_argument or not_found, with the file's name where there is one.
result<policy> read_policy(const std::string & text);

} // namespace rknpu
