// Capture: the second moments of every activation that a packed weight meets, collected while a model runs.
//
// Invariant: an activation is either collected from the first row of a pass to the last, or not at all; what an earlier
// pass has collected is kept and not collected again. Memory stays below a limit: what does not fit waits for the next
// pass over the same text.
#pragma once

#include "base/status.h"
#include "numerics/stats-file.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace rknpu {

class activation_capture {
public:
    // path: the .stats file, continued where it exists. state_path: a line of JSON about how far the passes are; empty:
    // none. bytes_max: memory for the moments of one pass; 0: no limit. status: a file that is not ours.
    static result<std::unique_ptr<activation_capture>> open(const std::string & path, const std::string & state_path,
                                                            size_t bytes_max);

    // Where to add the rows of an activation in this pass; nullptr: not in this pass.
    moments * slot(const std::string & group, size_t K);
    // Writes what was collected together with what was there before, and the state.
    status write();

private:
    activation_capture(std::string path, std::string state_path, size_t bytes_max)
        : path_(std::move(path)), state_path_(std::move(state_path)), bytes_max_(bytes_max) {}

    std::string path_, state_path_;
    size_t bytes_max_, bytes_ = 0;
    std::mutex mutex_;
    std::optional<stats_file> earlier_; // complete before this pass; stays readable when its name is replaced
    std::set<std::string> waiting_;     // for a later pass
    std::map<std::string, std::unique_ptr<moments>> collected_;
};

} // namespace rknpu
