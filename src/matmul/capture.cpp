// See capture.h.
#include "matmul/capture.h"

#include "base/log.h"

#include <fstream>

namespace rknpu {

result<std::unique_ptr<activation_capture>> activation_capture::open(const std::string & path,
                                                                     const std::string & state_path, size_t bytes_max) {
    std::unique_ptr<activation_capture> capture(new activation_capture(path, state_path, bytes_max));
    auto earlier = stats_file::open(path);
    if (!earlier.ok() && earlier.status().code() != errc::not_found) return earlier.status();
    if (earlier.ok()) capture->earlier_.emplace(std::move(earlier.value()));
    return capture;
}

moments * activation_capture::slot(const std::string & group, size_t K) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (earlier_ && earlier_->find(group)) return nullptr;
    const auto found = collected_.find(group);
    if (found != collected_.end()) return found->second->K == K ? found->second.get() : nullptr;
    const size_t bytes = K * (K + 1) / 2 * sizeof(float);
    // One activation is collected whatever the limit: each pass gets on.
    if (waiting_.count(group) || (bytes_max_ > 0 && !collected_.empty() && bytes_ + bytes > bytes_max_)) {
        waiting_.insert(group);
        return nullptr;
    }
    bytes_ += bytes;
    return (collected_[group] = std::make_unique<moments>(K)).get();
}

status activation_capture::write() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (collected_.empty() && !earlier_) return {};
    auto writer = stats_writer::create(path_, "second moments of the inputs of matrix products, by ggml-rknpu");
    if (!writer.ok()) return writer.status();
    if (earlier_) {
        if (auto s = writer.value().keep(*earlier_); !s.ok()) return s;
    }
    for (const auto & [name, sums] : collected_) {
        if (auto s = writer.value().add(name, *sums); !s.ok()) return s;
    }
    if (auto s = writer.value().finish(); !s.ok()) return s;
    const size_t complete = (earlier_ ? earlier_->entries().size() : 0) + collected_.size(),
                 total = complete + waiting_.size();
    log_info("capture: %zu of %zu inputs are complete", complete, total);
    if (state_path_.empty()) return {};
    std::ofstream file(state_path_);
    file << "{\"complete\": " << complete << ", \"total\": " << total << "}\n" << std::flush;
    return file ? status() : status(errc::permission, "cannot write " + state_path_);
}

} // namespace rknpu
