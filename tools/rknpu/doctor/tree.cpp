// See tree.h.
#include "doctor/tree.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <unistd.h>

namespace rknpu::doctor {

bool tree::exists(const std::string & below) const {
    return access(path(below).c_str(), F_OK) == 0;
}

std::string tree::content(const std::string & below) const {
    std::error_code ignored;
    if (std::filesystem::is_directory(path(below), ignored)) return "";
    std::ifstream file(path(below), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string tree::text(const std::string & below) const {
    std::string all = content(below);
    while (!all.empty() && (all.back() == '\n' || all.back() == ' ' || all.back() == '\0'))
        all.pop_back();
    return all;
}

uint64_t tree::number(const std::string & below) const {
    return std::strtoull(text(below).c_str(), nullptr, 10);
}

std::optional<double> tree::value(const std::string & below) const {
    const std::string all = text(below);
    char * end = nullptr;
    const double number = std::strtod(all.c_str(), &end);
    if (all.empty() || *end || !std::isfinite(number)) return std::nullopt;
    return number;
}

std::vector<std::string> tree::names(const std::string & below) const {
    std::vector<std::string> all;
    std::error_code failed;
    for (std::filesystem::directory_iterator entry(path(below), failed), end; !failed && entry != end;
         entry.increment(failed))
        all.push_back(entry->path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
}

std::string tree::link(const std::string & below) const {
    std::error_code ignored;
    return std::filesystem::read_symlink(path(below), ignored).string();
}

} // namespace rknpu::doctor
