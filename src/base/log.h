// Log lines: formatted here, written by whoever hosts us (ggml's log callback in the plugin, stderr elsewhere).
//
// Invariant: every line starts with "rknpu: " and ends with one newline; no other code of the library prints.
#pragma once

#include <string>

namespace rknpu {

enum class log_level { debug, info, warn, error };

// Receives one whole line, newline included. Must be callable from any thread.
using log_sink = void (*)(log_level level, const char * line);

void set_log_sink(log_sink sink); // nullptr: back to stderr (info and above)

#define RKNPU_PRINTF(format_index, args_index) __attribute__((format(printf, format_index, args_index)))

void log_debug(const char * format, ...) RKNPU_PRINTF(1, 2);
void log_info(const char * format, ...) RKNPU_PRINTF(1, 2);
void log_warn(const char * format, ...) RKNPU_PRINTF(1, 2);
void log_error(const char * format, ...) RKNPU_PRINTF(1, 2);

// printf into a string.
std::string format_text(const char * format, ...) RKNPU_PRINTF(1, 2);

} // namespace rknpu
