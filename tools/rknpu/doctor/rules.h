// The doctor's rules: from the facts of a machine to findings, each with its reason, its published effect and its cure.
//
// Invariant: pure; one finding per rule, in the order of the table, whatever the machine is. A figure of a real board
// stands beside its source. Only a governor may be fixed automatically: it is undone by the next boot.
#pragma once

#include "doctor/machine.h"

#include <string>
#include <vector>

namespace rknpu::doctor {

enum class severity {
    ok,
    note,    // worth knowing; nothing is wrong
    warning, // it works, but slower or less safely than it could
    fault,   // the NPU, or the plugin, cannot be used
};
const char * severity_name(severity level);

// A file below the root and the word to write into it.
struct repair {
    std::string path, value;
};

struct finding {
    std::string id;
    severity level;
    std::string what;
    std::string why;
    std::string effect; // published, in its own unit; empty: nobody has measured it
    std::string source; // of the effect, or of the rule
    std::string cure;   // an exact command; empty: nothing to be done
    std::vector<repair> repairs;
};

std::vector<finding> examine(const machine & m);

} // namespace rknpu::doctor
