// What the outside world answers: a status, or a value with a status.
//
// Invariant: everything that can go wrong outside our own code (runtime, files, memory, users) travels as one of these;
// nothing here throws. A bug of ours goes through check.h instead.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace rknpu {

enum class errc {
    ok,
    invalid_argument, // the caller's (often the user's) value cannot be used
    unsupported,      // the chip, the runtime or this version cannot do it
    not_found,        // a file, library, symbol or device node is missing
    permission,       // it is there, but not for this user
    out_of_memory,    // NPU memory, an IOMMU domain, file descriptors or host memory ran out
    incompatible,     // versions do not fit together
    device_failed,    // the NPU or its runtime reported an error
    timeout,          // the NPU did not answer in time
};

// The word used in logs for a code, e.g. "out of memory".
const char * errc_name(errc code);

// An error code with one line for a human: what happened and, where there is one, the cure.
class [[nodiscard]] status {
public:
    status() = default;
    status(errc code, std::string message) : code_(code), message_(std::move(message)) {}

    bool ok() const { return code_ == errc::ok; }
    errc code() const { return code_; }
    const std::string & message() const { return message_; }

private:
    errc code_ = errc::ok;
    std::string message_;
};

// Either a value or the status that explains its absence.
template <class T> class [[nodiscard]] result {
public:
    result(T value) : value_(std::move(value)) {}
    result(rknpu::status why) : status_(std::move(why)) {}

    bool ok() const { return value_.has_value(); }
    const rknpu::status & status() const { return status_; }
    T & value() { return *value_; }
    const T & value() const { return *value_; }

private:
    std::optional<T> value_;
    rknpu::status status_;
};

} // namespace rknpu
