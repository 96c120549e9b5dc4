// Formatting and level test of the emulator's lines; see log.h.
#include "log.h"

#include "device/rknn/abi.h"
#include "settings.h"
#include "stats.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <unistd.h>

namespace rknn_emu {

namespace {

void write_line(const char * format, va_list args) {
    char line[1024] = "rknn-emu: ";
    const size_t head = std::strlen(line);
    std::vsnprintf(line + head, sizeof(line) - head - 1, format, args);
    std::strcat(line, "\n");
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line, std::strlen(line));
}

} // namespace

#define RKNN_EMU_DEFINE_LOG(name, wanted)                                                                              \
    void name(const char * format, ...) {                                                                              \
        if (!(wanted)) return;                                                                                         \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        write_line(format, args);                                                                                      \
        va_end(args);                                                                                                  \
    }
RKNN_EMU_DEFINE_LOG(log_error, config().log_level >= 1)
RKNN_EMU_DEFINE_LOG(log_info, config().log_level >= 2)
RKNN_EMU_DEFINE_LOG(log_always, true)
#undef RKNN_EMU_DEFINE_LOG

int refuse(int code, const char * format, ...) {
    stats().refusals++;
    if (config().log_level < 1) return code;
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
    return code;
}

int misuse(const char * format, ...) {
    stats().misuses++;
    if (config().log_level < 1) return rknpu::abi::fail;
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
    return rknpu::abi::fail;
}

} // namespace rknn_emu
