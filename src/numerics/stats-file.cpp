// See stats-file.h.
#include "numerics/stats-file.h"

#include "base/check.h"
#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace rknpu {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is written as it lies in memory");

constexpr uint32_t format_version = 1;
constexpr uint32_t text_max = 4096;    // longest name or description
constexpr uint64_t K_max = 1ull << 20; // more is no activation, and its triangle would overflow
constexpr size_t magic_bytes = 8;

size_t value_count(uint64_t K) {
    return size_t(K * (K + 1) / 2);
}

uint64_t checksum_of(const std::string & name, uint64_t K, uint64_t rows, const std::vector<float> & values) {
    hasher h;
    h.add(&K, sizeof(K));
    h.add(&rows, sizeof(rows));
    h.add(name.data(), name.size());
    h.add(values.data(), values.size() * sizeof(float));
    return h.value();
}

// Reads a file's index in order. Everything after the first value that cannot be read reads as failed.
class index_reader {
public:
    index_reader(int fd, uint64_t size) : fd_(fd), size_(size) {}

    template <class T> T number() {
        T value{};
        take(&value, sizeof(value));
        return value;
    }
    std::string text(uint32_t length) {
        std::string s(length <= text_max ? length : 0, '\0');
        if (s.size() != length) failed_ = true;
        take(s.data(), s.size());
        return s;
    }
    void skip(uint64_t bytes) {
        if (bytes > size_ - offset_) failed_ = true;
        if (!failed_) offset_ += bytes;
    }
    void fail() { failed_ = true; }
    bool failed() const { return failed_; }
    bool at_end() const { return offset_ == size_; }
    uint64_t offset() const { return offset_; }

private:
    void take(void * out, size_t bytes) {
        if (failed_ || bytes > size_ - offset_ || pread(fd_, out, bytes, off_t(offset_)) != ssize_t(bytes))
            failed_ = true;
        else
            offset_ += bytes;
    }
    int fd_;
    uint64_t size_, offset_ = 0;
    bool failed_ = false;
};

// pread may return less than asked for, at most 2 GiB at once.
bool read_at(int fd, void * out, size_t bytes, uint64_t offset) {
    char * to = static_cast<char *>(out);
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, std::min<size_t>(bytes, 1u << 30), off_t(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got;
        offset += uint64_t(got);
        bytes -= size_t(got);
    }
    return true;
}

} // namespace

result<stats_file> stats_file::open(const std::string & path) {
    stats_file f;
    f.path_ = path;
    f.file_.reset(std::fopen(path.c_str(), "rbe"));
    struct stat facts;
    if (!f.file_ || fstat(fileno(f.file_.get()), &facts) != 0) {
        return status(errno == EACCES ? errc::permission : errc::not_found,
                      format_text("cannot open the statistics %s: %s; rknpu calibrate makes such a file", path.c_str(),
                                  std::strerror(errno)));
    }
    index_reader in(fileno(f.file_.get()), S_ISREG(facts.st_mode) ? uint64_t(facts.st_size) : 0);
    if (in.text(magic_bytes) != stats_magic) {
        return status(errc::invalid_argument, path + " holds no statistics of rknpu; make them with rknpu calibrate");
    }
    const uint32_t version = in.number<uint32_t>();
    if (!in.failed() && version != format_version) {
        return status(errc::incompatible,
                      format_text("%s has version %u of the format, this program reads version %u; run rknpu calibrate "
                                  "again",
                                  path.c_str(), version, format_version));
    }
    const uint32_t n_entries = in.number<uint32_t>();
    f.description_ = in.text(in.number<uint32_t>());
    for (uint32_t i = 0; i < n_entries && !in.failed(); i++) {
        stats_entry e;
        const uint32_t name_length = in.number<uint32_t>();
        e.K = in.number<uint64_t>();
        e.rows = in.number<uint64_t>();
        e.checksum = in.number<uint64_t>();
        e.name = in.text(name_length);
        e.offset = in.offset();
        if (e.K > K_max) in.fail();
        in.skip(e.K > K_max ? 0 : value_count(e.K) * sizeof(float));
        f.entries_.push_back(std::move(e));
    }
    if (in.failed() || !in.at_end()) {
        return status(errc::invalid_argument, path + " ends early or is damaged; run rknpu calibrate again");
    }
    return f;
}

const stats_entry * stats_file::find(const std::string & name) const {
    const auto it =
        std::find_if(entries_.begin(), entries_.end(), [&](const stats_entry & e) { return e.name == name; });
    return it == entries_.end() ? nullptr : &*it;
}

result<moments> stats_file::read(const std::string & name, size_t K) const {
    const stats_entry * e = find(name);
    if (!e) {
        return status(errc::not_found,
                      format_text("%s has no statistics of %s; run rknpu calibrate again with this model",
                                  path_.c_str(), name.c_str()));
    }
    if (e->K != K) {
        return status(errc::incompatible,
                      format_text("%s was made with another model: %s has %zu columns there, %zu here; run rknpu "
                                  "calibrate again with this model",
                                  path_.c_str(), name.c_str(), size_t(e->K), K));
    }
    moments m(K);
    m.rows = e->rows;
    if (!read_at(fileno(file_.get()), m.upper.data(), m.upper.size() * sizeof(float), e->offset) ||
        checksum_of(name, K, m.rows, m.upper) != e->checksum) {
        return status(errc::invalid_argument,
                      format_text("%s is damaged: the statistics of %s are not what was written; "
                                  "run rknpu calibrate again",
                                  path_.c_str(), name.c_str()));
    }
    return m;
}

result<stats_writer> stats_writer::create(const std::string & path, const std::string & description) {
    stats_writer w;
    w.path_ = path;
    w.temporary_ = path + format_text(".%d.tmp", int(getpid()));
    w.description_ = description.substr(0, text_max);
    w.file_.reset(std::fopen(w.temporary_.c_str(), "wbe"));
    if (!w.file_) return w.failure();
    const status written = w.write_header();
    if (!written.ok()) return written;
    return w;
}

stats_writer::~stats_writer() {
    if (file_) std::remove(temporary_.c_str()); // never finished
}

status stats_writer::failure() const {
    const int error = errno;
    return status(error == EACCES ? errc::permission : errc::invalid_argument,
                  format_text("cannot write the statistics %s: %s; choose another place with -o", path_.c_str(),
                              std::strerror(error)));
}

status stats_writer::write(const void * data, size_t bytes) {
    if (std::fwrite(data, 1, bytes, file_.get()) != bytes) return failure();
    return status();
}

status stats_writer::write_header() {
    const uint32_t numbers[] = {format_version, uint32_t(names_.size()), uint32_t(description_.size())};
    std::string header(stats_magic, magic_bytes);
    header.append(reinterpret_cast<const char *>(numbers), sizeof(numbers));
    header += description_;
    return write(header.data(), header.size());
}

status stats_writer::add(const std::string & name, const moments & m) {
    RKNPU_CHECK(file_ && name.size() <= text_max && m.upper.size() == value_count(m.K), name);
    RKNPU_CHECK(std::find(names_.begin(), names_.end(), name) == names_.end(), "statistics added twice: " + name);
    const uint32_t name_length = uint32_t(name.size());
    const uint64_t numbers[] = {m.K, m.rows, checksum_of(name, m.K, m.rows, m.upper)};
    std::string head(reinterpret_cast<const char *>(&name_length), sizeof(name_length));
    head.append(reinterpret_cast<const char *>(numbers), sizeof(numbers));
    head += name;
    status written = write(head.data(), head.size());
    if (written.ok()) written = write(m.upper.data(), m.upper.size() * sizeof(float));
    if (written.ok()) names_.push_back(name);
    return written;
}

status stats_writer::keep(const stats_file & earlier) {
    for (const stats_entry & e : earlier.entries()) {
        const auto m = earlier.read(e.name, size_t(e.K));
        if (!m.ok()) return m.status();
        const status written = add(e.name, m.value());
        if (!written.ok()) return written;
    }
    return status();
}

status stats_writer::finish() {
    RKNPU_CHECK(file_, "statistics finished twice");
    if (std::fseek(file_.get(), 0, SEEK_SET) != 0) return failure();
    const status written = write_header();
    if (!written.ok()) return written;
    if (std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0) return failure();
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return failure();
    file_.reset();
    return status();
}

} // namespace rknpu
