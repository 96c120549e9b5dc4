// An external meter: a shell command whose last number on stdout is the power in W.
//
// Invariant: the command and what it started have ended when read_power_command returns, within its limit.
#pragma once

#include "base/status.h"

#include <functional>
#include <string>

namespace rknpu {

// given_up: asked now and then whether to end early. status: device_failed, timeout.
result<double> read_power_command(const std::string & command, double limit_seconds,
                                  const std::function<bool()> & given_up);

// The last number in a text; status: device_failed where there is none.
result<double> last_number(const std::string & text);

} // namespace rknpu
