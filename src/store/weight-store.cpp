// See weight-store.h.
#include "store/weight-store.h"

#include "base/log.h"

#include <algorithm>
#include <filesystem>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

double mib(uint64_t bytes) {
    return double(bytes) / (1 << 20);
}

uint64_t total_of(const std::vector<byte_range> & ranges) {
    uint64_t sum = 0;
    for (const byte_range & r : ranges)
        sum += r.bytes;
    return sum;
}

const std::string partial_suffix = store_partial_path("");

bool is_partial(const std::string & path) {
    return path.size() > partial_suffix.size() &&
           path.compare(path.size() - partial_suffix.size(), partial_suffix.size(), partial_suffix) == 0;
}

} // namespace

weight_store::weight_store(store_wishes wishes, uint64_t expected_bytes)
    : wishes_(std::move(wishes)), expected_bytes_(expected_bytes) {
    std::error_code ignored;
    reads_ = !wishes_.place.empty() && wishes_.place != "off";
    is_folder_ = reads_ && !fs::is_regular_file(wishes_.place, ignored) && !is_store_name(wishes_.place);
    writes_ = is_folder_ || !wishes_.pack.empty();
    list();
}

weight_store::~weight_store() = default; // what is not finished can be continued by the next one

void weight_store::list() {
    if (is_folder_) {
        for (const std::string & path : store_folder(wishes_.place).files())
            list(path);
    } else if (reads_) {
        list(wishes_.place);
    }
    if (wishes_.pack.empty()) return;
    std::error_code ignored;
    for (const std::string & path : {wishes_.pack, store_partial_path(wishes_.pack)}) {
        if (fs::exists(path, ignored)) list(path);
    }
}

void weight_store::list(const std::string & path) {
    auto file = store_file::open(path);
    if (!file.ok()) {
        log_warn("%s; weights are converted instead", file.status().message().c_str());
        if (is_folder_) damaged_.insert(path);
        return;
    }
    const store_file & f = file.value();
    if (!f.problem().empty() && !is_partial(path)) {
        log_warn("%s; the weights that are lost are converted instead; %s", f.problem().c_str(),
                 is_folder_ ? "the file is made anew" : "pack the model again with rknpu pack");
        if (is_folder_) damaged_.insert(path);
    }
    for (const store_record & r : f.records())
        places_[r.key] = path;
    current_ = std::move(file.value());
}

const store_record * weight_store::find(const hash128 & key) {
    const auto place = places_.find(key);
    if (place != places_.end() && (!current_ || current_->path() != place->second)) {
        auto file = store_file::open(place->second);
        if (file.ok()) current_ = std::move(file.value());
    }
    if (place != places_.end() && current_ && current_->path() == place->second) {
        const auto & records = current_->records();
        for (auto r = records.rbegin(); r != records.rend(); r++) {
            if (r->key == key) return &*r;
        }
    }
    n_missing_++;
    return nullptr;
}

bool weight_store::read(const store_record & record, const std::vector<byte_range> & into) {
    if (const status s = current_->read(record, into); !s.ok()) {
        refuse(s.message());
        return false;
    }
    n_found_++;
    on_disk_[record.key] = !wishes_.pack.empty() && current_->path() == store_partial_path(wishes_.pack);
    if (is_folder_ && used_.insert(current_->path()).second) store_folder::touch(current_->path());
    return true;
}

void weight_store::refuse(const std::string & why) {
    n_damaged_++;
    // Said once for each file: one bad block can spoil many weights.
    if (damaged_.insert(current_->path()).second)
        log_warn("%s; its weights are converted instead; %s", why.c_str(),
                 is_folder_ ? "the file is made anew" : "pack the model again with rknpu pack");
}

bool weight_store::open_writer(const hash128 & first) {
    std::string path = wishes_.pack;
    if (path.empty()) {
        const store_folder folder(wishes_.place);
        for (const std::string & damaged : damaged_)
            std::remove(damaged.c_str());
        const auto continued = std::find_if(used_.begin(), used_.end(), [&](const std::string & file) {
            return is_partial(file) && damaged_.count(file) == 0;
        });
        path = continued != used_.end() ? continued->substr(0, continued->size() - partial_suffix.size())
                                        : folder.path() + "/" + first.text() + ".rknpu";
        const uint64_t left = expected_bytes_ - std::min(expected_bytes_, bytes_done_);
        const status room =
            folder.make_room(left, wishes_.limit_bytes, std::vector<std::string>(used_.begin(), used_.end()));
        if (!room.ok()) {
            stop_writing(room);
            return false;
        }
    }
    auto opened = store_writer::open(path);
    if (!opened.ok()) {
        stop_writing(opened.status());
        return false;
    }
    writer_.emplace(std::move(opened.value()));
    return true;
}

void weight_store::stop_writing(const status & why) {
    log_warn("packed weights are not kept for the next time: %s%s", why.message().c_str(),
             is_folder_ && wishes_.pack.empty() ? "; GGML_RKNPU_STORE=off does without them" : "");
    if (writer_ && wishes_.pack.empty()) writer_->discard();
    writer_.reset();
    writes_ = false;
}

void weight_store::keep(const hash128 & key, const std::string & facts, const std::vector<byte_range> & from) {
    const auto known = on_disk_.find(key);
    const bool is_there = known != on_disk_.end() && (wishes_.pack.empty() || known->second);
    if (writes_ && !is_there && (writer_ || open_writer(key))) {
        if (const status s = writer_->add(key, facts, from); s.ok())
            n_kept_++;
        else
            stop_writing(s);
    }
    bytes_done_ += total_of(from);
    note_progress();
}

void weight_store::note_progress() const {
    if (wishes_.pack.empty()) return;
    log_info("packed %.1f of %.1f MiB", mib(bytes_done_), mib(std::max(expected_bytes_, bytes_done_)));
}

void weight_store::finish() {
    if (!writer_ && writes_ && wishes_.pack.empty()) {
        // An earlier program left it without its end, and it has all that there is.
        const auto whole = std::find_if(used_.begin(), used_.end(), is_partial);
        if (whole != used_.end() && damaged_.count(*whole) == 0) {
            auto opened = store_writer::open(whole->substr(0, whole->size() - partial_suffix.size()));
            if (opened.ok()) writer_.emplace(std::move(opened.value()));
        }
    }
    // Everything was packed before, and only the end is missing.
    if (!writer_ && writes_ && !wishes_.pack.empty()) (void)open_writer({});
    std::string kept;
    if (writer_) {
        const status s = writer_->finish();
        if (!s.ok()) stop_writing(s);
        if (s.ok()) kept = writer_->path();
    }
    if (!is_folder_ && reads_ && n_missing_ > 0 && damaged_.empty())
        log_warn("%s has nothing for %zu of %zu weights of this model with these settings; they were converted; pack "
                 "the model again with rknpu pack",
                 wishes_.place.c_str(), n_missing_, n_missing_ + n_found_);
    std::string text =
        format_text("packed weights: %zu were read from disk, %zu converted", n_found_, n_missing_ + n_damaged_);
    if (!kept.empty())
        text += format_text(", %zu written to %s (%.1f MiB)", n_kept_, kept.c_str(), mib(writer_->bytes()));
    if (!kept.empty() && wishes_.pack.empty()) text += "; GGML_RKNPU_STORE=off does without such files";
    log_info("%s", text.c_str());
    writer_.reset();
    current_.reset();
    reads_ = writes_ = false;
}

} // namespace rknpu
