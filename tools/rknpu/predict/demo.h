// Other projects' published speeds beside the model's: as a test of the model (peers), and beside our own prediction
// (the table of the README).
#pragma once

#include "files.h"

#include <string>

namespace rknpu {

std::string peers_text();
json peers_json();
// Markdown. The same program gives the same text on any day.
std::string demo_table();

} // namespace rknpu
