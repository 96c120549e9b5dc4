// The settings table: defaults, values, and what a user is told about the ones that cannot be used.
#include "base/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace rknpu {
namespace {

settings read(std::vector<const char *> environment, std::vector<std::string> & complaints) {
    environment.push_back(nullptr);
    return read_settings(environment.data(), complaints);
}

TEST(settings, defaults_without_environment) {
    std::vector<std::string> complaints;
    const settings s = read({"HOME=/nowhere"}, complaints);
    EXPECT_EQ(s.format, "balanced");
    EXPECT_EQ(s.rotation, "hadamard");
    EXPECT_EQ(s.timeout_ms, 10000u);
    EXPECT_FALSE(s.check);
    EXPECT_TRUE(complaints.empty());
}

TEST(settings, a_relative_cache_folder_is_ignored) {
    const char * names[] = {"XDG_CACHE_HOME", "HOME"};
    std::string kept[2];
    for (int i = 0; i < 2; i++)
        kept[i] = std::getenv(names[i]) ? std::getenv(names[i]) : "";
    setenv("HOME", "/somebody", 1);
    setenv("XDG_CACHE_HOME", "/elsewhere", 1);
    EXPECT_EQ(cache_folder(), "/elsewhere/ggml-rknpu");
    setenv("XDG_CACHE_HOME", "relative", 1);
    EXPECT_EQ(cache_folder(), "/somebody/.cache/ggml-rknpu");
    setenv("HOME", "", 1);
    EXPECT_EQ(cache_folder(), "");
    for (int i = 0; i < 2; i++)
        setenv(names[i], kept[i].c_str(), 1); // empty is as good as unset
}

TEST(settings, values_are_read) {
    std::vector<std::string> complaints;
    const settings s = read(
        {"GGML_RKNPU_FORMAT=w16a16", "GGML_RKNPU_CHECK=1", "GGML_RKNPU_POOL_MIB=64", "GGML_RKNPU_RUNTIME=/a b/c.so"},
        complaints);
    EXPECT_EQ(s.format, "w16a16");
    EXPECT_TRUE(s.check);
    EXPECT_EQ(s.pool_mib, 64u);
    EXPECT_EQ(s.runtime, "/a b/c.so");
    EXPECT_TRUE(complaints.empty());
}

TEST(settings, unusable_values_are_named_and_replaced) {
    std::vector<std::string> complaints;
    const settings s = read({"GGML_RKNPU_CHECK=yes", "GGML_RKNPU_POOL_MIB=-3",
                             "GGML_RKNPU_TIMEOUT_MS=", "GGML_RKNPU_SPIN_US=99999999999999999999"},
                            complaints);
    EXPECT_FALSE(s.check);
    EXPECT_EQ(s.pool_mib, 2047u);
    EXPECT_EQ(s.timeout_ms, 10000u);
    EXPECT_EQ(s.spin_us, 20u);
    ASSERT_EQ(complaints.size(), 4u);
    const std::set<std::string> lines(complaints.begin(), complaints.end());
    EXPECT_EQ(lines.count("GGML_RKNPU_CHECK=yes is not 0 or 1; using the default (0)"), 1u);
    EXPECT_EQ(lines.count("GGML_RKNPU_POOL_MIB=-3 is not a whole number from 16 to 2047; using the default (2047)"),
              1u);
}

TEST(settings, unknown_names_get_the_nearest_known_one) {
    std::vector<std::string> complaints;
    read({"GGML_RKNPU_FORMATT=w8a8", "GGML_RKNPU_CACHE=/somewhere"}, complaints);
    ASSERT_EQ(complaints.size(), 1u);
    EXPECT_EQ(complaints[0], "unknown setting GGML_RKNPU_FORMATT is ignored; did you mean GGML_RKNPU_FORMAT?");
}

TEST(settings, the_list_shows_values_in_force) {
    const char * environment[] = {"GGML_RKNPU_CORES=2", "GGML_RKNPU_CHECK=maybe", nullptr};
    bool seen = false;
    for (const setting_row & row : list_settings(environment)) {
        EXPECT_FALSE(row.meaning.empty()) << row.name;
        if (row.name == "GGML_RKNPU_CHECK") {
            EXPECT_EQ(row.value, "0");
        }
        if (row.name != "GGML_RKNPU_CORES") continue;
        seen = true;
        EXPECT_EQ(row.value, "2");
        EXPECT_EQ(row.default_text, "0");
        EXPECT_TRUE(row.from_environment);
    }
    EXPECT_TRUE(seen);
}

} // namespace
} // namespace rknpu
