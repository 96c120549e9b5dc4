// Policies: presets, formats, rules by name, and the line that each mistake gets.
#include "plan/policy-file.h"

#include "plan/plan.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace rknpu {
namespace {

policy parsed(const std::string & text) {
    const auto p = policy::parse(text);
    EXPECT_TRUE(p.ok()) << text << ": " << p.status().message();
    return p.ok() ? p.value() : policy();
}

std::string format_of(const policy & p, const std::string & name, double source_bits = 16) {
    weight_facts facts{name, 512, 512};
    facts.source_bits = source_bits;
    return format_name(p.choose(facts).numeric_format);
}

std::string reason_of(const policy & p, const std::string & name, double source_bits = 16) {
    weight_facts facts{name, 512, 512};
    facts.source_bits = source_bits;
    return p.choose(facts).reason;
}

std::string complaint(const std::string & text) {
    const auto p = read_policy(text);
    EXPECT_FALSE(p.ok()) << text;
    return p.ok() ? "" : p.status().message();
}

TEST(role, comes_from_the_name) {
    const auto role = [](const char * name) {
        const tensor_role r = role_of(name);
        return std::to_string(r.layer) + " " + r.name;
    };
    EXPECT_EQ(role("blk.7.attn_q.weight"), "7 attn_qkv");
    EXPECT_EQ(role("blk.12.attn_v.weight"), "12 attn_qkv");
    EXPECT_EQ(role("blk.0.ffn_up.weight"), "0 ffn_gate_up");
    EXPECT_EQ(role("blk.0.ffn_gate_inp.weight"), "0 ffn_gate_inp");
    EXPECT_EQ(role("blk.3.ffn_down.weight"), "3 ffn_down");
    EXPECT_EQ(role("output.weight"), "-1 output");
    EXPECT_EQ(role("token_embd.weight"), "-1 output");
    EXPECT_EQ(role("per_layer_model_proj.weight"), "-1 per_layer_model_proj");
    EXPECT_EQ(role("blk.x.ffn_down.weight"), "-1 blk.x.ffn_down");
    EXPECT_EQ(role("blk.99999999999999.ffn_down.weight"), "-1 blk.99999999999999.ffn_down");
    EXPECT_EQ(role("blk.5"), "-1 blk.5");
    EXPECT_EQ(role(""), "-1 ");
}

TEST(policy, one_format_is_for_all_tensors) {
    for (const format f : all_formats) {
        EXPECT_EQ(format_of(parsed(format_name(f)), "blk.0.attn_q.weight"), format_name(f));
        const bool head_of_8_bits = format_element(f) == element::i4;
        EXPECT_EQ(format_of(parsed(format_name(f)), "output.weight"), head_of_8_bits ? "w8a16" : format_name(f));
        EXPECT_EQ(format_of(parsed(std::string("^output=") + format_name(f)), "output.weight"), format_name(f));
        EXPECT_EQ(format_of(f, "output.weight"), format_name(f));       // what a tool asks for it gets
        EXPECT_EQ(format_of(f, "blk.0.ffn_gate_inp.weight"), "w16a16"); // the router
        EXPECT_EQ(reason_of(f, "blk.0.attn_q.weight"), std::string(format_name(f)) + " for all");
    }
}

TEST(policy, nothing_is_balanced) {
    for (const policy & p : {policy(), parsed(""), parsed("balanced"), parsed(" , balanced ,")}) {
        EXPECT_EQ(format_of(p, "blk.0.attn_q.weight"), "w8a8");
        EXPECT_EQ(reason_of(p, "blk.0.attn_q.weight"), "balanced");
        EXPECT_EQ(format_of(p, "blk.0.ffn_up.weight", 4.5), "w8a8");
    }
}

TEST(policy, presets_are_those_of_the_table) {
    EXPECT_EQ(format_of(parsed("quality"), "blk.0.attn_q.weight"), "w8a16");
    EXPECT_EQ(format_of(parsed("quality"), "blk.0.attn_q.weight", 4.5), "w8a16");
    EXPECT_EQ(format_of(parsed("quality"), "output.weight"), "w8a16");
    EXPECT_EQ(format_of(parsed("speed"), "blk.0.attn_q.weight"), "w8a8");
    EXPECT_EQ(format_of(parsed("speed"), "blk.0.attn_q.weight", 8.5), "w8a8");
    EXPECT_EQ(format_of(parsed("speed"), "blk.0.attn_q.weight", 5.5), "w8a8");
    EXPECT_EQ(format_of(parsed("speed"), "blk.0.attn_q.weight", 4.5), "w4a8");
    EXPECT_EQ(reason_of(parsed("speed"), "blk.0.attn_q.weight", 4.5), "speed: the source has 4.5 bits");
    EXPECT_EQ(format_of(parsed("balanced"), "token_embd.weight"), "w8a16");
    EXPECT_EQ(reason_of(parsed("balanced"), "output.weight"), "balanced: the output head");
    EXPECT_EQ(format_of(parsed("speed"), "output.weight", 4.5), "w8a16");
    for (const preset p : all_presets)
        EXPECT_EQ(format_of(parsed(preset_name(p)), "blk.0.ffn_gate_inp.weight"), "w16a16") << preset_name(p);
}

TEST(policy, the_first_matching_rule_wins) {
    const policy p = parsed("ffn_down=w8a8, ^output=w4a8 ,blk\\.0\\.=w16a16,w8a16");
    EXPECT_EQ(format_of(p, "blk.0.ffn_down.weight"), "w8a8");
    EXPECT_EQ(reason_of(p, "blk.0.ffn_down.weight"), "rule ffn_down=w8a8");
    EXPECT_EQ(format_of(p, "output.weight"), "w4a8");
    EXPECT_EQ(format_of(p, "blk.0.attn_q.weight"), "w16a16");
    EXPECT_EQ(format_of(p, "blk.10.attn_q.weight"), "w8a16");
    EXPECT_EQ(format_of(p, "blk.10.attn_output.weight"), "w8a16"); // ^ makes it the head alone
    EXPECT_EQ(reason_of(p, "blk.10.attn_q.weight"), "w8a16 for the rest");
    EXPECT_EQ(format_of(parsed("output=w4a8"), "blk.1.attn_output.weight"), "w4a8");
    // A default may stand anywhere.
    EXPECT_EQ(format_of(parsed("w4a4,ffn=w8a8"), "blk.0.ffn_up.weight"), "w8a8");
}

TEST(policy, rules_may_name_presets_and_contain_equals_signs) {
    const policy p = parsed("ffn=speed,a=b=w16a16,quality");
    EXPECT_EQ(format_of(p, "blk.1.ffn_up.weight", 4.5), "w4a8");
    EXPECT_EQ(reason_of(p, "blk.1.ffn_up.weight", 4.5), "rule ffn=speed (speed: the source has 4.5 bits)");
    EXPECT_EQ(format_of(p, "a=b"), "w16a16");
    EXPECT_EQ(format_of(p, "blk.1.attn_q.weight", 4.5), "w8a16");
}

TEST(policy, mistakes_get_one_line_with_the_cure) {
    EXPECT_EQ(complaint("w3a7"), "'w3a7' is neither a format (w16a16, w8a16, w8a8, w4a8, w4a4) nor a preset (quality, "
                                 "balanced, speed); did you mean w8a8?");
    EXPECT_NE(complaint("ffn=qualty").find("did you mean quality?"), std::string::npos);
    EXPECT_EQ(complaint("auto").find("did you mean"), std::string::npos);
    EXPECT_NE(complaint("ffn_(down=w8a8").find("'ffn_(down' in rule 'ffn_(down=w8a8' is not a regular expression"),
              std::string::npos);
    EXPECT_NE(complaint("=w8a8").find("rule '=w8a8' names no tensors; write regex=format"), std::string::npos);
    EXPECT_NE(complaint("w8a8,speed").find("both 'w8a8' and 'speed' are meant for all tensors"), std::string::npos);
    // A comma ends a rule, so this regex is cut in two.
    EXPECT_NE(complaint("blk\\.[0-9]{1,2}=w8a8").find("'blk\\.[0-9]{1' is neither"), std::string::npos);
    EXPECT_NE(complaint("ffn=").find("'' is neither a format"), std::string::npos);
    for (const char * text : {"w3a7", "ffn_(down=w8a8", "=w8a8", "w8a8,speed", "@/nowhere/rules.txt", "@/", "@"})
        EXPECT_EQ(complaint(text).find('\n'), std::string::npos);
}

class policy_file : public testing::Test {
protected:
    std::string path = testing::TempDir() + "rknpu-policy-" + std::to_string(getpid()) + ".txt";
    void write(const std::string & text) { std::ofstream(path) << text; }
    ~policy_file() override { std::remove(path.c_str()); }
};

TEST_F(policy_file, has_one_item_per_line) {
    write("# rules\n\n blk\\.[0-9]{1,2}\\.ffn_down=w4a8   # commas are fine here\r\na#b=w4a4\nw16a16");
    const auto read = read_policy("@" + path);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(format_of(read.value(), "blk.17.ffn_down.weight"), "w4a8");
    EXPECT_EQ(format_of(read.value(), "a#b"), "w4a4");
    EXPECT_EQ(format_of(read.value(), "blk.1.attn_q.weight"), "w16a16");
}

TEST_F(policy_file, mistakes_name_the_file) {
    write("w8a9\n");
    EXPECT_NE(complaint("@" + path).find(path + ": 'w8a9' is neither"), std::string::npos);
    EXPECT_NE(complaint("@/nowhere/rules.txt").find("the file of rules '/nowhere/rules.txt' cannot be read (No such"),
              std::string::npos);
    EXPECT_NE(complaint("@" + testing::TempDir()).find("cannot be read"), std::string::npos);
}

TEST(plan, asks_the_policy_and_keeps_its_reason) {
    plan_settings wishes;
    wishes.formats = parsed("ffn_down=w16a16");
    const chip & soc = *find_chip("rk3588").value();
    const auto plan = plan_weight({"blk.0.ffn_down.weight", 512, 512}, soc, wishes);
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan.value().numeric_format, format::w16a16);
    EXPECT_EQ(plan.value().reason, "rule ffn_down=w16a16");
}

TEST(plan, modelled_time_grows_with_bytes_and_rows) {
    plan_settings wishes;
    const chip & soc = *find_chip("rk3588").value();
    const auto us = [&](format f, size_t M) {
        wishes.formats = f;
        return plan_us(plan_weight({"w", 4096, 4096}, soc, wishes).value(), M);
    };
    EXPECT_LT(us(format::w4a4, 1), us(format::w8a8, 1));
    EXPECT_LT(us(format::w8a8, 1), us(format::w16a16, 1));
    // A second digit rides on the weights' pass at decode, and doubles the work of a batch.
    EXPECT_DOUBLE_EQ(us(format::w8a16, 1), us(format::w8a8, 1));
    EXPECT_DOUBLE_EQ(us(format::w4a8, 1), us(format::w4a4, 1));
    EXPECT_GT(us(format::w8a16, 512), 1.5 * us(format::w8a8, 512));
}

TEST(plan, modelled_time_of_experts_counts_those_in_use) {
    const chip & soc = *find_chip("rk3588").value();
    plan_settings wishes;
    wishes.formats = format::w8a8;
    const auto stack = plan_weight({"blk.0.ffn_up_exps.weight", 2816, 1408, 128}, soc, wishes).value();
    const double one = plan_us(stack, 1);
    // Three run at once and share the memory's bandwidth: eight take three rounds, the last of two.
    EXPECT_LT(plan_us(stack, 1, 3), 1.1 * one);
    EXPECT_DOUBLE_EQ(plan_us(stack, 1, 8), 2 * plan_us(stack, 1, 3) + plan_us(stack, 1, 2));
    // 512 tokens use all 128, with 32 rows each.
    EXPECT_GT(plan_us(stack, 512, 8), 40 * plan_us(stack, 1, 3));
    EXPECT_LT(plan_us(stack, 512, 8), 150 * plan_us(stack, 1, 3));
}

} // namespace
} // namespace rknpu
