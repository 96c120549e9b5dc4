// Cuts the output of a program into lines, byte by byte.
//
// Invariant: a line that does not end takes no more than longest_line bytes; what is behind them is dropped.
#pragma once

#include <cstddef>
#include <string>

namespace rknpu {

// llama-perplexity's figures so far grow on one line, some 15 bytes for each chunk.
constexpr size_t longest_line = size_t(1) << 20;

class line_reader {
public:
    // True where the byte ends a line, which line() then holds, without that byte, until the next call.
    bool add(char byte) {
        if (ended_) line_.clear();
        ended_ = byte == '\n';
        if (!ended_ && line_.size() < longest_line) line_ += byte;
        return ended_;
    }
    const std::string & line() const { return line_; } // so far

private:
    std::string line_;
    bool ended_ = false;
};

} // namespace rknpu
