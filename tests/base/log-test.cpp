// Log lines keep their form whoever receives them.
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rknpu {
namespace {

std::vector<std::pair<log_level, std::string>> lines;
void collect(log_level level, const char * line) {
    lines.emplace_back(level, line);
}

TEST(log, every_line_has_the_prefix_and_one_newline) {
    lines.clear();
    set_log_sink(collect);
    log_warn("%s took %d ms", "a job", 3);
    log_debug("%s", std::string(5000, 'x').c_str());
    set_log_sink(nullptr);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0], std::make_pair(log_level::warn, std::string("rknpu: a job took 3 ms\n")));
    EXPECT_EQ(lines[1].second, "rknpu: " + std::string(5000, 'x') + "\n");
}

TEST(status, carries_code_and_message) {
    const status s(errc::permission, "no");
    EXPECT_FALSE(s.ok());
    EXPECT_STREQ(errc_name(s.code()), "no permission");
    const result<int> r = s;
    EXPECT_FALSE(r.ok());
    EXPECT_EQ(r.status().message(), "no");
    EXPECT_EQ(result<int>(3).value(), 3);
}

TEST(check, a_bug_is_an_exception_with_its_place) {
    try {
        RKNPU_CHECK(1 == 2, "numbers");
        FAIL() << "the check did not fire";
    } catch (const internal_error & e) {
        EXPECT_NE(std::string(e.what()).find("1 == 2"), std::string::npos);
        EXPECT_NE(std::string(e.what()).find("log-test.cpp"), std::string::npos);
    }
}

} // namespace
} // namespace rknpu
