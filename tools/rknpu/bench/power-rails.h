// Sensors of electric power that Linux shows below /sys: hwmon (INA2xx, INA3221, PMICs, firmware), IIO, batteries.
//
// Invariant: a rail that is listed gave a figure when it was found, and that figure is measured; what only looks like a
// measurement is named with the reason for leaving it out.
#pragma once

#include "base/status.h"
#include "doctor/tree.h"

#include <optional>
#include <string>
#include <vector>

namespace rknpu {

// One factor of a power: the number in a file, times a unit.
struct power_factor {
    std::string path; // below the root
    double unit;      // to W, V, A or 1
};

struct power_rail {
    std::string name; // for the user: "ina226 VDD_5V (hwmon2/power1_input)"
    std::vector<power_factor> factors;

    // W; nothing where a file cannot be read just now. Without its sign: a battery that discharges may count downwards.
    std::optional<double> watts(const doctor::tree & files) const;
};

struct power_survey {
    std::vector<power_rail> rails;
    std::vector<std::string> left_out; // "tcpm-source-psy-4-0022: ...", one line each
};

power_survey find_power_rails(const doctor::tree & files);

// The rail that a file named by the user belongs to. status: invalid_argument, with what this machine has.
result<power_rail> power_rail_of(const doctor::tree & files, const std::string & path);

} // namespace rknpu
