// Small files below a root: how the doctor reads /sys, /proc and /dev, of this machine or of a planted copy.
//
// Invariant: reading never fails loudly: what is not there, or may not be read, is empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rknpu::doctor {

class tree {
public:
    explicit tree(std::string root) : root_(std::move(root)) {}
    std::string path(const std::string & below) const { return root_ + below; }
    bool exists(const std::string & below) const;
    std::string content(const std::string & below) const;            // the whole file
    std::string text(const std::string & below) const;               // without blanks, newlines and NULs at its end
    uint64_t number(const std::string & below) const;                // 0 where there is none
    std::optional<double> value(const std::string & below) const;    // a number that may be negative or have a fraction
    std::vector<std::string> names(const std::string & below) const; // in a folder, sorted
    std::string link(const std::string & below) const;               // where a symbolic link points

private:
    std::string root_;
};

} // namespace rknpu::doctor
