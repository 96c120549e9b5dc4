// See power-rails.h. Names and units: Linux's Documentation/hwmon/sysfs-interface, Documentation/hwmon/ina3221,
// Documentation/ABI/testing/sysfs-bus-iio and sysfs-class-power.
#include "bench/power-rails.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

namespace rknpu {

namespace {

namespace fs = std::filesystem;
using doctor::tree;

constexpr double micro = 1e-6, milli = 1e-3;
constexpr const char *hwmon = "/sys/class/hwmon", *supplies = "/sys/class/power_supply", *iio = "/sys/bus/iio/devices";

bool begins_with(const std::string & text, const std::string & prefix) {
    return text.rfind(prefix, 0) == 0;
}

bool ends_with(const std::string & text, const std::string & suffix) {
    return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::string last_part(const std::string & path) {
    return fs::path(path).filename().string();
}

// "power2_input" with "power", "_input": "2"; empty where it is no such name.
std::string index_in(const std::string & file, const std::string & prefix, const std::string & suffix) {
    if (!begins_with(file, prefix) || !ends_with(file, suffix) || file.size() <= prefix.size() + suffix.size())
        return "";
    const std::string index = file.substr(prefix.size(), file.size() - prefix.size() - suffix.size());
    return index.find_first_not_of("0123456789") == std::string::npos ? index : "";
}

std::string rail_name(const std::string & device, const std::string & label, const std::string & folder,
                      const std::string & file) {
    return (device.empty() ? "" : device + " ") + (label.empty() ? "" : label + " ") + "(" + last_part(folder) + "/" +
           file + ")";
}

power_rail hwmon_rail(const tree & files, const std::string & folder, const std::string & file,
                      const std::string & label_file, std::vector<power_factor> factors) {
    return {rail_name(files.text(folder + "/name"), files.text(folder + "/" + label_file), folder, file),
            std::move(factors)};
}

// in4 of an INA3221 is no voltage of the fourth channel, for it has three: it is that of a shunt.
bool is_pair(const tree & files, const std::string & folder, const std::string & index) {
    if (files.text(folder + "/name") == "ina3221" && (index < "1" || index > "3" || index.size() > 1)) return false;
    return files.exists(folder + "/in" + index + "_input") && files.exists(folder + "/curr" + index + "_input") &&
           !files.exists(folder + "/power" + index + "_input");
}

// The rail that begins with this file of a folder; no factors: it begins none.
power_rail rail_from(const tree & files, const std::string & folder, const std::string & file) {
    const std::string path = folder + "/" + file;
    for (const char * suffix : {"_input", "_average"}) {
        const std::string index = index_in(file, "power", suffix);
        // Some chips average by themselves and have no other figure.
        if (index.empty() || (suffix[1] == 'a' && files.exists(folder + "/power" + index + "_input"))) continue;
        return hwmon_rail(files, folder, file, "power" + index + "_label", {{path, micro}});
    }
    if (const auto index = index_in(file, "curr", "_input"); !index.empty() && is_pair(files, folder, index))
        return hwmon_rail(files, folder, file, "in" + index + "_label",
                          {{path, milli}, {folder + "/in" + index + "_input", milli}});
    if (const auto index = index_in(file, "in_power", "_raw");
        begins_with(file, "in_power") && ends_with(file, "_raw")) {
        const std::string own = folder + "/in_power" + index + "_scale", shared = folder + "/in_power_scale";
        return hwmon_rail(files, folder, file, "", {{path, milli}, {files.exists(own) ? own : shared, 1}});
    }
    if (file == "power_now") return {rail_name("", last_part(folder), folder, file), {{path, micro}}};
    if (file == "current_now" && !files.exists(folder + "/power_now"))
        return {rail_name("", last_part(folder), folder, file), {{path, micro}, {folder + "/voltage_now", micro}}};
    return {};
}

void take_folder(const tree & files, const std::string & folder, power_survey & found) {
    for (const auto & file : files.names(folder)) {
        const power_rail rail = rail_from(files, folder, file);
        if (!rail.factors.empty() && rail.watts(files)) found.rails.push_back(rail);
    }
}

// Why what this supply says is not what the board draws; empty: it is.
std::string unfit_supply(const tree & files, const std::string & folder) {
    const std::string type = files.text(folder + "/type"), status = files.text(folder + "/status");
    if (begins_with(last_part(folder), "tcpm-source-psy")) return "what the USB-C supply promised, not what flows";
    if (type != "Battery") return "";
    return status == "Discharging" ? "" : "the battery is not discharging (" + status + "); unplug the board's supply";
}

// The kernel shows each supply a second time, as a hwmon device of its name with other punctuation.
bool is_supply(const tree & files, const std::string & folder) {
    return begins_with(files.text(folder + "/name"), "tcpm_source_psy") || files.exists(folder + "/device/voltage_now");
}

std::string all_names(const power_survey & found) {
    std::string names;
    for (const auto & rail : found.rails)
        names += (names.empty() ? "" : ", ") + rail.factors[0].path;
    return names;
}

} // namespace

std::optional<double> power_rail::watts(const tree & files) const {
    double product = 1;
    for (const auto & factor : factors) {
        const auto value = files.value(factor.path);
        if (!value) return std::nullopt;
        product *= *value * factor.unit;
    }
    return std::fabs(product);
}

power_survey find_power_rails(const tree & files) {
    power_survey found;
    for (const auto & name : files.names(hwmon)) {
        const std::string folder = std::string(hwmon) + "/" + name;
        if (!is_supply(files, folder)) take_folder(files, folder, found);
    }
    for (const auto & name : files.names(iio))
        take_folder(files, std::string(iio) + "/" + name, found);
    for (const auto & name : files.names(supplies)) {
        const std::string folder = std::string(supplies) + "/" + name, why = unfit_supply(files, folder);
        const size_t before = found.rails.size();
        take_folder(files, folder, found);
        if (why.empty() || found.rails.size() == before) continue;
        found.rails.resize(before);
        found.left_out.push_back(name + ": " + why);
    }
    return found;
}

result<power_rail> power_rail_of(const tree & files, const std::string & path) {
    const fs::path whole(path);
    const std::string folder = whole.parent_path().string(), file = whole.filename().string();
    const auto refuse = [&](const std::string & what) {
        const std::string names = all_names(find_power_rails(files));
        return status(errc::invalid_argument,
                      "--power: " + what + "; " +
                          (names.empty() ? "no sensor of this machine shows power below /sys: give --power "
                                           "command:\"...\" for a meter, or --power none"
                                         : "this machine has: " + names));
    };
    if (!files.exists(path)) return refuse("no file '" + path + "'");
    const power_rail rail = rail_from(files, folder, file);
    if (rail.factors.empty())
        return refuse("'" + path +
                      "' is no sensor of power (power*_input, curr*_input beside in*_input, power_now, "
                      "current_now beside voltage_now, in_power*_raw)");
    if (!rail.watts(files)) return refuse("'" + path + "' holds no number, or may not be read");
    if (const std::string why = unfit_supply(files, folder); !why.empty())
        return refuse("'" + path + "' is no use: " + why);
    return rail;
}

} // namespace rknpu
