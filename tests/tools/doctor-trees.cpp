// See doctor-trees.h.
#include "doctor-trees.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

namespace rknpu::test {

namespace {

namespace fs = std::filesystem;

void replace_all(std::string & text, const std::string & from, const std::string & to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

std::string library_head(int machine_code) {
    std::string head = "\177ELF";
    head.resize(64);
    head[18] = char(machine_code);
    return head;
}

std::string unescape(std::string text) {
    replace_all(text, "\\n", "\n");
    replace_all(text, "\\0", std::string(1, '\0'));
    replace_all(text, "{aarch64}", library_head(183));
    replace_all(text, "{arm}", library_head(40));
    replace_all(text, "{gid}", std::to_string(getegid()));
    return text;
}

void plant_line(const std::string & root, const std::string & line) {
    if (line[0] == '-') {
        fs::remove_all(root + line.substr(1));
        return;
    }
    const size_t space = line.find(' ');
    const fs::path path = root + line.substr(0, space);
    fs::create_directories(path.parent_path());
    fs::remove(path);
    const size_t arrow = line.find(" -> "), mode = line.rfind('!');
    if (arrow != std::string::npos && arrow == space) {
        fs::create_symlink(line.substr(arrow + 4), path);
        return;
    }
    const size_t begin = line.find("= ");
    ASSERT_NE(begin, std::string::npos) << line;
    std::ofstream(path, std::ios::binary) << unescape(line.substr(begin + 2, mode - begin - 2));
    if (mode != std::string::npos) chmod(path.c_str(), mode_t(std::strtoul(line.c_str() + mode + 1, nullptr, 8)));
}

} // namespace

void plant(const std::string & root, const std::string & text) {
    fs::create_directories(root);
    std::istringstream lines(text);
    std::string whole;
    for (std::string line; std::getline(lines, line);) {
        if (line[0] == ' ') {
            whole += line.substr(line.find_first_not_of(' '));
            continue;
        }
        if (!whole.empty()) plant_line(root, whole);
        whole = line;
    }
    if (!whole.empty()) plant_line(root, whole);
}

planted_folder::planted_folder(const std::string & text)
    : root(testing::TempDir() + "rknpu-planted-" + std::to_string(getpid())) {
    fs::remove_all(root);
    plant(root, text);
}

planted_folder::~planted_folder() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
}

} // namespace rknpu::test
