// Formatting of log lines; see log.h.
#include "base/log.h"

#include "base/status.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace rknpu {

namespace {

void to_stderr(log_level level, const char * line) {
    if (level != log_level::debug) std::fputs(line, stderr);
}

std::atomic<log_sink> current_sink{to_stderr};

std::string vformat(const char * format, va_list args) {
    va_list copy;
    va_copy(copy, args);
    const int length = std::vsnprintf(nullptr, 0, format, copy);
    va_end(copy);
    std::string text(length > 0 ? size_t(length) : 0, '\0');
    if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, args);
    return text;
}

void emit(log_level level, const char * format, va_list args) {
    current_sink.load()(level, ("rknpu: " + vformat(format, args) + "\n").c_str());
}

} // namespace

void set_log_sink(log_sink sink) {
    current_sink = sink ? sink : to_stderr;
}

#define RKNPU_DEFINE_LOG(name, level)                                                                                  \
    void name(const char * format, ...) {                                                                              \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        emit(level, format, args);                                                                                     \
        va_end(args);                                                                                                  \
    }
RKNPU_DEFINE_LOG(log_debug, log_level::debug)
RKNPU_DEFINE_LOG(log_info, log_level::info)
RKNPU_DEFINE_LOG(log_warn, log_level::warn)
RKNPU_DEFINE_LOG(log_error, log_level::error)
#undef RKNPU_DEFINE_LOG

std::string format_text(const char * format, ...) {
    va_list args;
    va_start(args, format);
    std::string text = vformat(format, args);
    va_end(args);
    return text;
}

const char * errc_name(errc code) {
    switch (code) {
    case errc::ok:
        return "ok";
    case errc::invalid_argument:
        return "invalid argument";
    case errc::unsupported:
        return "unsupported";
    case errc::not_found:
        return "not found";
    case errc::permission:
        return "no permission";
    case errc::out_of_memory:
        return "out of memory";
    case errc::incompatible:
        return "incompatible";
    case errc::device_failed:
        return "device failed";
    case errc::timeout:
        return "timeout";
    }
    return "unknown";
}

} // namespace rknpu
