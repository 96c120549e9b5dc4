// Always-on checks for our own bugs.
//
// Invariant: a failed check never ends the host program. It throws internal_error, and every function pointer we hand
// to ggml catches it (src/backend/edge.h), reports it and returns a failure.
#pragma once

#include <stdexcept>
#include <string>

namespace rknpu {

// A bug in ggml-rknpu, with the place where it was noticed.
class internal_error : public std::logic_error {
public:
    internal_error(const char * file, int line, const char * condition, const std::string & detail)
        : std::logic_error(std::string(file) + ":" + std::to_string(line) + ": check failed: " + condition +
                           (detail.empty() ? "" : " (" + detail + ")")) {}
};

} // namespace rknpu

#define RKNPU_CHECK(condition, detail)                                                                                 \
    do {                                                                                                               \
        if (!(condition)) throw ::rknpu::internal_error(__FILE__, __LINE__, #condition, detail);                       \
    } while (0)
