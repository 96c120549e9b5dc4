// What rknpu plan reads of GGUF files (written here byte by byte), and the rules that it makes of a budget.
#include "files.h"
#include "gguf-model.h"
#include "layer-kinds.h"
#include "plan/policy.h"
#include "sensitivities.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace rknpu {
namespace {

namespace fs = std::filesystem;

const chip & soc() {
    return *find_chip("rk3588").value();
}

// A GGUF file of zeros, version 3.
class gguf_writer {
public:
    enum type : uint32_t { f32 = 0, f16 = 1, q4_0 = 2 };

    gguf_writer & text(const std::string & key, const std::string & value) {
        put_text(kv_, key);
        put(kv_, uint32_t(8));
        put_text(kv_, value);
        n_kv_++;
        return *this;
    }
    gguf_writer & number(const std::string & key, uint16_t value) {
        put_text(kv_, key);
        put(kv_, uint32_t(2));
        put(kv_, value);
        n_kv_++;
        return *this;
    }
    gguf_writer & tensor(const std::string & name, std::vector<uint64_t> ne, type t = f16) {
        put_text(tensors_, name);
        put(tensors_, uint32_t(ne.size()));
        uint64_t n = 1;
        for (const uint64_t size : ne) {
            put(tensors_, size);
            n *= size;
        }
        put(tensors_, uint32_t(t));
        put(tensors_, data_);
        data_ += ((t == f32 ? n * 4 : t == f16 ? n * 2 : n / 32 * 18) + 31) / 32 * 32;
        n_tensors_++;
        return *this;
    }
    std::string bytes() const {
        std::string all = "GGUF";
        put(all, uint32_t(3));
        put(all, n_tensors_);
        put(all, n_kv_);
        all += kv_ + tensors_;
        all.resize((all.size() + 31) / 32 * 32 + data_);
        return all;
    }

private:
    template <class T> static void put(std::string & out, T value) {
        char raw[sizeof(T)];
        std::memcpy(raw, &value, sizeof(T));
        out.append(raw, sizeof(T));
    }
    static void put_text(std::string & out, const std::string & text) {
        put(out, uint64_t(text.size()));
        out += text;
    }
    std::string kv_, tensors_;
    uint64_t n_kv_ = 0, n_tensors_ = 0, data_ = 0;
};

class plan_command : public testing::Test {
protected:
    fs::path folder = fs::path(testing::TempDir()) / ("rknpu-plan-" + std::to_string(getpid()));
    plan_command() { fs::create_directories(folder); }
    ~plan_command() override { fs::remove_all(folder); }

    std::string write(const std::string & name, const std::string & bytes) {
        const std::string path = (folder / name).string();
        EXPECT_TRUE(write_file(path, bytes).ok());
        return path;
    }
    gguf_model read(const std::string & path) {
        const auto model = read_gguf_model(path);
        EXPECT_TRUE(model.ok()) << model.status().message();
        return model.ok() ? model.value() : gguf_model();
    }
    std::string refusal(const std::string & path) {
        const auto model = read_gguf_model(path);
        EXPECT_FALSE(model.ok());
        const std::string why = model.ok() ? "" : model.status().message();
        EXPECT_EQ(why.find('\n'), std::string::npos) << why;
        return why;
    }
};

gguf_writer three_layers(bool experts = true) {
    gguf_writer file;
    file.text("general.architecture", "llama").tensor("token_embd.weight", {256, 512});
    for (const std::string b : {"blk.0.", "blk.1.", "blk.2."}) {
        file.tensor(b + "attn_norm.weight", {256}, gguf_writer::f32);
        for (const char * name : {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"})
            file.tensor(b + name, {256, 256});
        file.tensor(b + "ffn_down.weight", {512, 256}, gguf_writer::q4_0);
        file.tensor(b + "ffn_gate_inp.weight", {256, 64}, gguf_writer::f32);
        if (experts) file.tensor(b + "ffn_up_exps.weight", {256, 128, 4});
    }
    return file;
}

const model_tensor & find(const gguf_model & model, const std::string & name) {
    for (const model_tensor & t : model.tensors) {
        if (t.facts.name == name) return t;
    }
    ADD_FAILURE() << "no tensor " << name;
    return model.tensors.front();
}

TEST_F(plan_command, the_header_gives_names_shapes_and_types) {
    const gguf_model model = read(write("m.gguf", three_layers().bytes()));
    EXPECT_EQ(model.architecture, "llama");
    ASSERT_EQ(model.tensors.size(), 1u + 3 * 8);
    const model_tensor & down = find(model, "blk.1.ffn_down.weight");
    EXPECT_EQ(down.source, "q4_0");
    EXPECT_DOUBLE_EQ(down.facts.source_bits, 4.5);
    EXPECT_EQ(down.facts.K, 512);
    EXPECT_EQ(down.facts.N, 256);
    EXPECT_EQ(down.bytes, 512u * 256 / 32 * 18);
    EXPECT_TRUE(down.is_multiplied);
    EXPECT_EQ(find(model, "blk.0.ffn_up_exps.weight").facts.n_matrices, 4);
    EXPECT_FALSE(find(model, "blk.0.attn_norm.weight").is_multiplied);
    EXPECT_TRUE(find(model, "token_embd.weight").is_multiplied); // the head is tied to it
    const gguf_model untied = read(write("u.gguf", three_layers().tensor("output.weight", {256, 512}).bytes()));
    EXPECT_FALSE(find(untied, "token_embd.weight").is_multiplied);
}

TEST_F(plan_command, parts_of_a_split_model_are_read_together) {
    const auto part = [&](int number, const char * tensor) {
        gguf_writer file;
        file.number("split.no", uint16_t(number)).number("split.count", 2).tensor(tensor, {64, 64});
        return file.bytes();
    };
    const std::string first = write("m-00001-of-00002.gguf", part(0, "a.weight"));
    EXPECT_NE(refusal(first).find("no file '" + (folder / "m-00002-of-00002.gguf").string()), std::string::npos);
    const std::string second = write("m-00002-of-00002.gguf", part(1, "b.weight"));
    const gguf_model model = read(first);
    ASSERT_EQ(model.tensors.size(), 2u);
    EXPECT_EQ(model.tensors[0].facts.name, "a.weight");
    EXPECT_EQ(model.tensors[1].facts.name, "b.weight");
    EXPECT_NE(refusal(second).find("is part 2 of 2; give the first part (...-00001-of-00002.gguf)"), std::string::npos);
    EXPECT_NE(refusal(write("renamed.gguf", part(0, "a.weight"))).find("does not end in -00001-of-00002.gguf"),
              std::string::npos);
}

TEST_F(plan_command, files_that_are_not_whole_are_refused) {
    const std::string whole = three_layers().bytes();
    // Where the header ends is not written here: cuts everywhere, and one byte of data missing.
    for (const size_t bytes : {size_t(4), size_t(20), size_t(100), size_t(1000), whole.size() / 2, whole.size() - 1})
        EXPECT_NE(refusal(write("cut.gguf", whole.substr(0, bytes))).find("not a complete GGUF file"),
                  std::string::npos)
            << bytes;
    EXPECT_NE(refusal(write("text.gguf", "once upon a time")).find("is not a GGUF file"), std::string::npos);
    EXPECT_NE(refusal(write("empty.gguf", "")).find("is not a GGUF file"), std::string::npos);
    EXPECT_NE(refusal((folder / "none.gguf").string()).find("no file"), std::string::npos);
    EXPECT_NE(refusal(folder.string()).find("is a folder; give the path"), std::string::npos);
    EXPECT_TRUE(read_gguf_model(write("m.gguf", whole)).ok());
}

TEST_F(plan_command, groups_are_roles_or_thirds_of_them) {
    const gguf_model model = read(write("m.gguf", three_layers().bytes()));
    const auto names = [&](bool thirds) {
        std::string text;
        for (const tensor_group & g : group_tensors(model, soc(), thirds))
            text += g.name + ":" + std::to_string(g.tensors.size()) + " ";
        return text;
    };
    EXPECT_EQ(names(false), "output:1 attn_qkv:9 attn_output:3 ffn_down:3 ffn_gate_up_exps:3 ");
    EXPECT_EQ(names(true), "output:1 attn_qkv 1/3:3 attn_output 1/3:1 ffn_down 1/3:1 ffn_gate_up_exps 1/3:1 "
                           "attn_qkv 2/3:3 attn_output 2/3:1 ffn_down 2/3:1 ffn_gate_up_exps 2/3:1 "
                           "attn_qkv 3/3:3 attn_output 3/3:1 ffn_down 3/3:1 ffn_gate_up_exps 3/3:1 ");
}

TEST_F(plan_command, a_pattern_finds_its_own_group_only) {
    const gguf_model model = read(write("m.gguf", three_layers().bytes()));
    for (const bool thirds : {false, true}) {
        for (const tensor_group & g : group_tensors(model, soc(), thirds)) {
            const std::string pattern = pattern_of(g);
            EXPECT_EQ(pattern.find(','), std::string::npos);
            const std::regex regex(pattern);
            for (const model_tensor & t : model.tensors) {
                const bool own = std::find(g.tensors.begin(), g.tensors.end(), t.facts.name) != g.tensors.end();
                EXPECT_EQ(std::regex_search(t.facts.name, regex), own) << pattern << " in " << t.facts.name;
            }
        }
    }
    EXPECT_EQ(pattern_of({"x", {"blk.3.a+b.weight"}}), "^blk\\.3\\.a\\+b\\.weight$");
}

sensitivities measured_for(const gguf_model & model) {
    sensitivities all;
    all.source = {{"chunks", 16}};
    double scale = 1;
    for (const tensor_group & g : group_tensors(model, soc(), false)) {
        all.groups.push_back(
            {g, {{format::w8a16, 1e-5 * scale}, {format::w8a8, 1e-4 * scale}, {format::w4a8, 1e-2 * scale}}});
        scale *= 2;
    }
    return all;
}

TEST_F(plan_command, sensitivities_survive_a_file) {
    const sensitivities all = measured_for(read(write("m.gguf", three_layers().bytes())));
    const auto again = parse_sensitivities("s.json", to_json(all).dump());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(to_json(again.value()), to_json(all));
    for (const char * text :
         {"", "{}", "[1]", "{\"source\":{},\"groups\":[{\"name\":1}]}",
          "{\"source\":{},\"groups\":[{\"name\":\"a\",\"tensors\":[],\"kld\":{}}]}",
          "{\"source\":{},\"groups\":[{\"name\":\"a\",\"tensors\":[\"b\"],\"kld\":{\"w9\":1}}]}",
          "{\"source\":{},\"groups\":[{\"name\":\"a\",\"tensors\":[\"b\"],\"kld\":{\"w8a8\":-1}}]}"}) {
        const auto refused = parse_sensitivities("s.json", text);
        ASSERT_FALSE(refused.ok()) << text;
        EXPECT_EQ(refused.status().message().rfind("sensitivities: 's.json' ", 0), 0u);
        EXPECT_NE(refused.status().message().find("measure them with rknpu sensitivity"), std::string::npos);
    }
}

// The formats of a result, by the policy that its rules are.
std::string formats_of(const gguf_model & model, const budget_result & chosen) {
    const auto rules = policy::parse_lines(chosen.rules);
    EXPECT_TRUE(rules.ok()) << rules.status().message() << "\n" << chosen.rules;
    std::string text;
    for (const char * name : {"token_embd.weight", "blk.2.attn_k.weight", "blk.0.attn_output.weight",
                              "blk.1.ffn_down.weight", "blk.1.ffn_gate_inp.weight"})
        text += std::string(format_name(rules.value().choose(find(model, name).facts).numeric_format)) + " ";
    return text;
}

TEST(layer_kinds, add_up_and_are_told_by_shape_and_format) {
    const auto kinds = layer_kinds({{"blk.0.attn_q.weight", "64 x 64 w8a8", 1, 10},
                                    {"blk.1.attn_q.weight", "64 x 96 w8a8", 2, 20},
                                    {"blk.0.ffn_gate_inp.weight", "64 x 8 w16a16", 3, 30},
                                    {"blk.2.attn_q.weight", "64 x 64 w8a8", 1, 10},
                                    {"blk.2.ffn_gate_inp.weight", "64 x 8 w16a16", 3, 30},
                                    {"output.weight", "64 x 512 w8a8", 4, 40},
                                    {"blk.0.attn_output.weight", "64 x 64 w8a8", 5, 50},
                                    {"blk.2.attn_output.weight", "64 x 64 w8a8", 5, 50}});
    ASSERT_EQ(kinds.size(), 3u);
    EXPECT_EQ(kinds[0].layers, (std::vector<int>{0, 2}));
    ASSERT_EQ(kinds[0].parts.size(), 2u);
    EXPECT_EQ(kinds[0].parts[0].name, "attention");
    EXPECT_EQ(kinds[0].parts[0].us_1, 6);
    EXPECT_EQ(kinds[0].parts[1].name, "router");
    EXPECT_EQ(kinds[0].sum.us_batch, 90);
    EXPECT_EQ(kinds[1].layers, std::vector<int>{1});
    EXPECT_TRUE(kinds[2].layers.empty());
    EXPECT_EQ(kinds[2].parts[0].name, "output");
    EXPECT_TRUE(layer_kinds({}).empty());
}

TEST_F(plan_command, a_budget_becomes_rules) {
    const gguf_model model = read(write("m.gguf", three_layers(false).bytes()));
    const sensitivities all = measured_for(model);
    const auto within = [&](budget_kind kind, double budget) {
        const auto chosen = choose_formats(model, all, soc(), kind, budget, 1);
        EXPECT_TRUE(chosen.ok()) << chosen.status().message();
        return formats_of(model, chosen.value());
    };
    // Packed at 2 bytes a weight: 0.25 output, 1.125 q/k/v, 0.375 attn_output, 0.75 ffn_down, routers 0.09375 MiB.
    EXPECT_EQ(within(budget_kind::mib, 2.6), "w16a16 w16a16 w16a16 w16a16 w16a16 ");
    EXPECT_EQ(within(budget_kind::mib, 1.35), "w8a16 w8a16 w8a16 w8a16 w16a16 ");
    // Half a MiB less is q/k/v in 4 bits, which is also the cheapest step in divergence that saves as much.
    EXPECT_EQ(within(budget_kind::mib, 1.07), "w8a16 w4a8 w8a16 w8a16 w16a16 ");
    EXPECT_EQ(within(budget_kind::kld, 0), "w16a16 w16a16 w16a16 w16a16 w16a16 ");
    EXPECT_EQ(within(budget_kind::kld, 1.5e-4), "w8a16 w8a16 w8a16 w8a16 w16a16 ");
    EXPECT_EQ(within(budget_kind::kld, 1), "w4a8 w4a8 w4a8 w4a8 w16a16 ");
}

TEST_F(plan_command, a_budget_is_priced_for_the_cores_in_use) {
    gguf_model model;
    model_tensor down;
    down.facts = {"blk.0.ffn_down.weight", 4096, 4096, 1};
    down.source = "f16";
    down.n_rows = 4096;
    down.bytes = 4096 * 4096 * 2;
    down.is_multiplied = true;
    model.tensors.push_back(down);
    const auto rules = [&](int n_cores) {
        return choose_formats(model, measured_for(model), soc(), budget_kind::kld, 1, 1, n_cores).value().rules;
    };
    EXPECT_EQ(rules(0), rules(3));
    EXPECT_NE(rules(1), rules(3));
}

TEST_F(plan_command, budgets_that_cannot_be_met_say_why) {
    const gguf_model model = read(write("m.gguf", three_layers(false).bytes()));
    const auto little = choose_formats(model, measured_for(model), soc(), budget_kind::mib, 0.7, 1);
    ASSERT_FALSE(little.ok());
    EXPECT_EQ(little.status().message(), "this model needs at least 0.72 MiB on the NPU in the formats measured, more "
                                         "than the 0.70 MiB allowed; raise --budget-mib");
    sensitivities other = measured_for(model);
    other.groups[0].group.tensors = {"blk.0.ssm_in.weight"};
    const auto wrong = choose_formats(model, other, soc(), budget_kind::mib, 100, 1);
    ASSERT_FALSE(wrong.ok());
    EXPECT_NE(wrong.status().message().find("of another model: this one has no tensor 'blk.0.ssm_in.weight'"),
              std::string::npos);
}

} // namespace
} // namespace rknpu
