// Files of the tools: read whole, written whole, and told apart.
//
// Invariant: a file that write_file names is either the old one or the whole new one, whatever happens in between.
#pragma once

#include "base/status.h"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace rknpu {

using json = nlohmann::ordered_json;

bool is_file(const std::string & path);
result<std::string> read_file(const std::string & path);
status write_file(const std::string & path, std::string_view content);

// The file that a link names, so that a link stays one; path itself where it is none.
std::string behind_links(const std::string & path);

// Whether a file could be written there, asked before long work: not where a folder or a device
// is, which a new file would replace, or in a folder that is not writable.
// option: names it in the answer.
status check_output(const std::string & path, const std::string & option = "-o");

// status: invalid_argument if the output is one of the inputs, by whatever name: it would be lost.
status check_not_input(const std::string & output, const std::vector<std::string> & inputs);

// status: invalid_argument, with the cure, unless path begins like a file of rknpu calibrate or llama-imatrix.
status check_statistics(const std::string & what, const std::string & path);

// Where a file is written before it gets its name.
std::string partial_path(const std::string & path);

// JSON as text. What is not UTF-8 (a path, a line of a log) becomes a replacement character.
std::string text_of(const json & value, int indent = -1);

// FNV-1a of 64 bits in hexadecimal: tells inputs apart, protects against nobody.
std::string fingerprint(std::string_view content);

// What tells a large file from others without reading it: path, size and time of its last change.
json file_identity(const std::string & path);

// status: invalid_argument, with the cure, unless path is a readable GGUF file; what names it ("model", "reference").
status check_gguf(const std::string & what, const std::string & path);

} // namespace rknpu
