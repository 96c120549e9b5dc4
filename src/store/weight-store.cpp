// See weight-store.h.
#include "store/weight-store.h"

#include "base/log.h"
#include "base/units.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

const std::string partial_suffix = store_partial_path("");

bool is_partial(const std::string & path) {
    return path.size() > partial_suffix.size() &&
           path.compare(path.size() - partial_suffix.size(), partial_suffix.size(), partial_suffix) == 0;
}

std::string final_path(const std::string & path) {
    return is_partial(path) ? path.substr(0, path.size() - partial_suffix.size()) : path;
}

} // namespace

weight_store::weight_store(store_wishes wishes, uint64_t expected_bytes)
    : wishes_(std::move(wishes)), expected_bytes_(expected_bytes) {
    std::error_code ignored;
    reads_ = !wishes_.place.empty() && wishes_.place != "off";
    is_folder_ = reads_ && !fs::is_regular_file(wishes_.place, ignored) && !is_store_name(wishes_.place);
    writes_ = is_folder_ || !wishes_.pack.empty();
    if (is_folder_ && fs::path(wishes_.place).has_extension() && !fs::exists(wishes_.place, ignored))
        log_info("%s is no file, so it becomes a folder of packed weights; a file would be called *.rknpu",
                 wishes_.place.c_str());
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
        // What cannot be opened, or is for another version of this program, is not damaged.
        if (!is_folder_ || file.status().code() == errc::invalid_argument) damaged_.insert(path);
        taken_.insert(final_path(path));
        return;
    }
    const store_file & f = file.value();
    if (!f.problem().empty() && !is_partial(path)) {
        log_warn("%s; the weights that are lost are converted instead; %s", f.problem().c_str(), cure(path).c_str());
        damaged_.insert(path);
    }
    if (!is_partial(path)) taken_.insert(path);
    for (const store_record & r : f.records())
        places_[r.key] = path;
    current_ = std::move(file.value());
}

const store_record * weight_store::find(const hash128 & key, size_t n_weights) {
    const store_record * record = look_up(key);
    n_asked_ = n_weights;
    if (!record) n_missing_ += n_weights;
    return record;
}

const store_record * weight_store::look_up(const hash128 & key) {
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
    return nullptr;
}

bool weight_store::read(const store_record & record, const std::vector<byte_range> & into) {
    if (const status s = current_->read(record, into); !s.ok()) {
        refuse(s.message());
        return false;
    }
    n_found_ += n_asked_;
    on_disk_[record.key] = current_->path();
    if (is_folder_ && used_.insert(current_->path()).second) store_folder::touch(current_->path());
    return true;
}

void weight_store::refuse(const std::string & why) {
    n_damaged_ += n_asked_;
    // Said once for each file: one bad block can spoil many weights.
    if (damaged_.insert(current_->path()).second)
        log_warn("%s; its weights are converted instead; %s", why.c_str(), cure(current_->path()).c_str());
}

std::string weight_store::cure(const std::string & path) const {
    return is_folder_ && is_cache_path(path) ? "the file is made anew" : "pack the model again with rknpu pack";
}

// A name for a new file of the cache, from its first key; past files of that name that are not to be written.
std::string weight_store::free_name(hash128 name) const {
    const auto path = [&] { return wishes_.place + "/" + name.text() + ".rknpu"; };
    while (taken_.count(path()))
        name.low++;
    return path();
}

status weight_store::check_place() const {
    std::error_code ignored;
    if (wishes_.makes_parents || fs::exists(wishes_.place, ignored)) return {};
    fs::path place = fs::absolute(wishes_.place, ignored).lexically_normal();
    if (!place.has_filename()) place = place.parent_path(); // behind a slash at the end
    if (fs::is_directory(place.parent_path(), ignored)) return {};
    return {errc::not_found, "no folder " + place.parent_path().string() + " to make " + wishes_.place +
                                 " in; make it, or correct GGML_RKNPU_STORE"};
}

bool weight_store::open_writer(const hash128 & first) {
    std::string path = wishes_.pack;
    auto begin = store_writer::begin::anew_or_on;
    if (path.empty()) {
        std::vector<std::string> in_use;
        std::set_difference(used_.begin(), used_.end(), damaged_.begin(), damaged_.end(), std::back_inserter(in_use));
        const auto continued = std::find_if(in_use.begin(), in_use.end(), [&](const std::string & file) {
            return is_partial(file) && is_cache_path(file) && !taken_.count(final_path(file));
        });
        if (continued != in_use.end()) begin = store_writer::begin::on_only;
        path = continued != in_use.end() ? final_path(*continued) : free_name(first);
        std::error_code ignored;
        const uint64_t left = expected_bytes_ - std::min(expected_bytes_, bytes_done_);
        status room = fs::exists(path, ignored) ? status(errc::not_found, "another program has just written " + path)
                                                : check_place();
        if (room.ok()) room = store_folder(wishes_.place).make_room(left, wishes_.limit_bytes, in_use);
        if (!room.ok()) {
            stop_writing(room);
            return false;
        }
    }
    auto opened = store_writer::open(path, begin);
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
    const bool is_there =
        known != on_disk_.end() && (wishes_.pack.empty() || known->second == store_partial_path(wishes_.pack));
    if (writes_ && !is_there && (writer_ || open_writer(key))) {
        if (const status s = writer_->add(key, facts, from); s.ok())
            n_kept_ += n_asked_;
        else
            stop_writing(s);
    }
    bytes_done_ += total_bytes(from);
    note_progress();
}

void weight_store::note_progress() const {
    if (wishes_.pack.empty()) return;
    log_info("packed %.1f of %.1f MiB", in_mib(bytes_done_), in_mib(std::max(expected_bytes_, bytes_done_)));
}

// What was read well from damaged files of the cache goes to the file that takes their place.
status weight_store::salvage() {
    const std::set<hash128> there(writer_->keys().begin(), writer_->keys().end());
    for (const auto & [key, path] : on_disk_) {
        if (!damaged_.count(path) || !is_cache_path(path) || there.count(key)) continue;
        const store_record * r = look_up(key);
        if (!r) continue; // evicted by another program: converted the next time
        const auto payload = std::make_unique<uint8_t[]>(size_t(r->bytes));
        const std::vector<byte_range> ranges = {{payload.get(), size_t(r->bytes)}};
        if (!current_->read(*r, ranges).ok()) continue;
        if (const status s = writer_->add(key, r->facts, ranges); !s.ok()) return s;
    }
    return {};
}

void weight_store::finish() {
    if (!writer_ && writes_ && wishes_.pack.empty()) {
        // An earlier program left it without its end, and it has all that there is.
        const auto whole = std::find_if(used_.begin(), used_.end(), is_partial);
        if (whole != used_.end() && damaged_.count(*whole) == 0 && is_cache_path(*whole) &&
            !taken_.count(final_path(*whole))) {
            auto opened = store_writer::open(final_path(*whole), store_writer::begin::on_only);
            if (opened.ok()) writer_.emplace(std::move(opened.value()));
        }
    }
    // Everything was packed before, and only the end is missing.
    if (!writer_ && writes_ && !wishes_.pack.empty()) (void)open_writer({});
    std::string kept;
    if (writer_) {
        const bool in_cache = wishes_.pack.empty();
        status s = in_cache ? salvage() : status();
        if (s.ok()) s = writer_->finish(in_cache ? store_writer::name::keep : store_writer::name::replace);
        if (s.ok()) kept = writer_->path();
        if (!s.ok()) stop_writing(s);
        for (const std::string & damaged : damaged_) {
            if (s.ok() && in_cache) store_folder::drop(damaged);
        }
    }
    if (!is_folder_ && reads_ && n_missing_ > 0 && damaged_.empty())
        log_warn(
            "%s has nothing for %zu of %zu weights of this model with these settings; they were converted; pack "
            "the model again with rknpu pack, or load it with the format and the other settings that it was packed "
            "with",
            wishes_.place.c_str(), n_missing_, n_missing_ + n_found_);
    std::string text =
        format_text("packed weights: %zu were read from disk, %zu converted", n_found_, n_missing_ + n_damaged_);
    if (!kept.empty())
        text += format_text(", %zu written to %s (%.1f MiB)", n_kept_, kept.c_str(), in_mib(writer_->bytes()));
    if (!kept.empty() && wishes_.pack.empty()) text += "; GGML_RKNPU_STORE=off does without such files";
    log_info("%s", text.c_str());
    writer_.reset();
    current_.reset();
    reads_ = writes_ = false;
}

} // namespace rknpu
