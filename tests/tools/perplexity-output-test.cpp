// What is read from llama-perplexity's output, on outputs of llama.cpp v0.5.0 as it printed them (tests/tools/data).
#include "perplexity-output.h"

#include <gtest/gtest.h>

namespace rknpu {
namespace {

std::string recorded(const char * name) {
    const auto content = read_file(std::string(RECORDINGS) + "/" + name);
    EXPECT_TRUE(content.ok()) << content.status().message();
    return content.ok() ? content.value() : "";
}

perplexity_output read(const std::string & text, size_t piece) {
    perplexity_output output;
    for (size_t at = 0; at < text.size(); at += piece)
        output.feed(std::string_view(text).substr(at, piece));
    return output;
}

TEST(perplexity_output, the_run_that_makes_the_base) {
    for (const size_t piece : {1, 7, 100000}) {
        const perplexity_output output = read(recorded("base.log"), piece);
        EXPECT_EQ(output.chunks(), 8);
        EXPECT_EQ(output.done(), 8);
        EXPECT_EQ(output.context(), 512);
        EXPECT_DOUBLE_EQ(output.running_ppl(), 15.5378);
        EXPECT_TRUE(std::isnan(output.running_kld()));
        EXPECT_TRUE(output.has_final_ppl());
        EXPECT_FALSE(output.has_all_statistics());
        EXPECT_DOUBLE_EQ(output.statistics().ppl, 15.5378);
        EXPECT_DOUBLE_EQ(output.statistics().ppl_uncertainty, 0.88467);
        EXPECT_TRUE(output.error_lines().empty());
    }
}

TEST(perplexity_output, the_statistics_of_a_run_against_the_base) {
    for (const size_t piece : {1, 11, 100000}) {
        const perplexity_output output = read(recorded("kld-q8_0.log"), piece);
        EXPECT_EQ(output.chunks(), 8);
        EXPECT_EQ(output.done(), 8);
        EXPECT_DOUBLE_EQ(output.running_kld(), 0.00010);
        ASSERT_TRUE(output.has_all_statistics());
        const perplexity_statistics & s = output.statistics();
        EXPECT_DOUBLE_EQ(s.ppl, 15.538990); // not the difference, whose line begins with the same words
        EXPECT_DOUBLE_EQ(s.ppl_uncertainty, 0.884808);
        EXPECT_DOUBLE_EQ(s.base_ppl, 15.537844);
        EXPECT_DOUBLE_EQ(s.log_ppl_ratio, 0.000074);
        EXPECT_DOUBLE_EQ(s.log_ppl_ratio_uncertainty, 0.000312);
        EXPECT_DOUBLE_EQ(s.mean_kld, 0.000098);
        EXPECT_DOUBLE_EQ(s.mean_kld_uncertainty, 0.000002);
        EXPECT_DOUBLE_EQ(s.max_kld, 0.000664);
        EXPECT_DOUBLE_EQ(s.kld_999, 0.000489);
        EXPECT_DOUBLE_EQ(s.kld_99, 0.000364);
        EXPECT_DOUBLE_EQ(s.kld_95, 0.000233);
        EXPECT_DOUBLE_EQ(s.kld_90, 0.000189);
        EXPECT_DOUBLE_EQ(s.median_kld, 0.000091);
        EXPECT_DOUBLE_EQ(s.rms_dp, 0.222);
        EXPECT_DOUBLE_EQ(s.rms_dp_uncertainty, 0.007);
        EXPECT_DOUBLE_EQ(s.same_top, 99.510);
        EXPECT_DOUBLE_EQ(s.same_top_uncertainty, 0.155);
    }
}

TEST(perplexity_output, statistics_without_their_end_are_not_complete) {
    const std::string whole = recorded("kld-q8_0.log");
    EXPECT_TRUE(read(whole, 64).has_all_statistics());
    EXPECT_FALSE(read(whole.substr(0, whole.find("Same top p:")), 64).has_all_statistics());
    EXPECT_FALSE(read(whole.substr(0, whole.find("99.0% ")), 64).has_all_statistics());
}

TEST(perplexity_output, progress_before_a_line_has_ended) {
    perplexity_output output;
    output.feed(
        "0.1 I perplexity: calculating perplexity over 6 chunks, n_ctx=256, batch_size=2048\n[1]17.7728,[2]18.8");
    EXPECT_EQ(output.chunks(), 6);
    EXPECT_EQ(output.context(), 256);
    EXPECT_EQ(output.done(), 1);
    output.feed("782,");
    EXPECT_EQ(output.done(), 2);
    EXPECT_DOUBLE_EQ(output.running_ppl(), 18.8782);
}

TEST(perplexity_output, a_text_that_is_too_short) {
    const perplexity_output output = read(recorded("too-short.log"), 50);
    EXPECT_EQ(output.tokens_needed(), 1024);
    EXPECT_EQ(output.tokens_there(), 929);
    EXPECT_FALSE(output.has_final_ppl());
}

TEST(perplexity_output, the_first_error_is_kept_without_its_time) {
    const perplexity_output output = read(recorded("cut-model.log"), 50);
    ASSERT_FALSE(output.error_lines().empty());
    EXPECT_EQ(output.error_lines().front(),
              "llama_model_load: error loading model: tensor 'blk.1.ffn_gate.weight' data is "
              "not within the file bounds, model is corrupted or incomplete");
}

TEST(perplexity_output, lines_of_the_plugin_once_each) {
    const perplexity_output output = read("0.00.1 W rknpu: waiting\nrknpu: waiting\n", 5);
    ASSERT_EQ(output.plugin_lines().size(), 1u);
    EXPECT_EQ(output.plugin_lines()[0], "waiting");
}

TEST(line_reader, a_line_without_an_end_takes_no_more_than_its_share) {
    line_reader lines;
    for (size_t i = 0; i < 3 * longest_line; i++)
        ASSERT_FALSE(lines.add('x'));
    EXPECT_EQ(lines.line().size(), longest_line);
    ASSERT_TRUE(lines.add('\n'));
    EXPECT_EQ(lines.line().size(), longest_line);
    for (const char c : {'a', 'b'})
        EXPECT_FALSE(lines.add(c));
    ASSERT_TRUE(lines.add('\n'));
    EXPECT_EQ(lines.line(), "ab");
}

TEST(files, text_that_is_not_utf8_can_be_stored) {
    EXPECT_EQ(text_of(json{{"path", "a\xff"
                                    "b"}}),
              "{\"path\":\"a\xef\xbf\xbd"
              "b\"}");
}

TEST(perplexity_output, statistics_survive_being_stored) {
    perplexity_statistics s = read(recorded("kld-q8_0.log"), 64).statistics();
    s.log_ppl_ratio_uncertainty = NAN; // llama-perplexity prints -nan where two runs are equal
    const json stored = json::parse(to_json(s).dump());
    const perplexity_statistics again = statistics_from(stored);
    EXPECT_EQ(again.mean_kld, s.mean_kld);
    EXPECT_EQ(again.same_top_uncertainty, s.same_top_uncertainty);
    EXPECT_TRUE(std::isnan(again.log_ppl_ratio_uncertainty));
    EXPECT_EQ(to_json(again), stored);
}

} // namespace
} // namespace rknpu
