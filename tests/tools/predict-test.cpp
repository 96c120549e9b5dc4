// The model behind rknpu predict: it explains published rows of other projects, its parts add up, and what it says of
// memory is arithmetic that can be checked by hand.
#include "model-layers.h"
#include "predict/demo.h"
#include "predict/peers.h"
#include "predict/prediction.h"
#include "shape-model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace rknpu {
namespace {

const chip & soc() {
    return *find_chip("rk3588").value();
}

const board & board_named(const char * name) {
    return *find_board(name).value();
}

gguf_model shape_named(const char * text) {
    const named_shape shape = parse_named_shape(text).value();
    return model_of(*shape.shape, shape.source);
}

policy policy_named(const char * text) {
    return policy::parse(text).value();
}

// The bound: the model explains others before it speaks for us.
TEST(peers, eight_published_w8a8_rows_within_a_fourth) {
    const auto results = predict_peers();
    size_t n_w8a8 = 0, n_prompt = 0, n_all = 0;
    std::set<std::string> models;
    for (const peer_result & r : results) {
        EXPECT_GT(r.predicted, 0) << r.row->shape;
        EXPECT_TRUE(find_board(r.row->board_name).ok());
        if (!r.within(peer_tolerance)) {
            EXPECT_STRNE(r.row->note, "")
                << r.row->stack << " " << r.row->shape << " misses without a remark: " << r.ratio();
            continue;
        }
        n_all++;
        if (r.row->numeric_format != format::w8a8) continue;
        n_w8a8++;
        n_prompt += r.row->prompt > 0;
        models.insert(r.row->shape);
    }
    EXPECT_GE(n_w8a8, 8u);
    EXPECT_GE(n_prompt, 2u) << "decoding alone proves little";
    EXPECT_GE(models.size(), 5u) << "nor does one model";
    EXPECT_GE(2 * n_all, results.size());
}

TEST(peers, the_way_of_working_matters) {
    peer_row row = peer_rows().front();
    const double normal = predict_peer(row);
    row.way.layout = io_layout::native;
    EXPECT_GT(predict_peer(row), normal);
    row.way.n_cores = 1;
    EXPECT_LT(predict_peer(row), normal);
}

// Parameters by the models' names, in units of 1e9.
TEST(shapes, have_as_many_parameters_as_their_names_say) {
    const std::pair<const char *, double> expected[] = {
        {"gemma4-26b-a4b", 25.2}, {"gemma4-e4b", 7.5},    {"gemma4-e2b", 4.65},  {"gemma3-1b", 1.0},
        {"granite4-350m", 0.352}, {"ministral3-3b", 3.4}, {"qwen3.5-9b", 9.0},   {"qwen3.5-2b", 1.9},
        {"lfm2-8b-a1b", 8.3},     {"qwen2.5-1.5b", 1.54}, {"qwen3-0.6b", 0.596}, {"qwen3-1.7b", 1.72}};
    EXPECT_EQ(std::size(expected), published_shapes().size());
    for (const auto & [name, billions] : expected) {
        double n = 0;
        for (const model_tensor & t : shape_named(name).tensors)
            n += double(t.facts.K) * double(t.n_rows);
        EXPECT_NEAR(n / 1e9, billions, 0.03 * billions) << name;
    }
}

TEST(shapes, names_and_types_are_checked) {
    EXPECT_EQ(parse_named_shape("gemma3-1b").value().source, "q4_0");
    EXPECT_EQ(parse_named_shape("gemma3-1b:q8_0").value().source, "q8_0");
    EXPECT_EQ(parse_named_shape("gemma3-2b").status().code(), errc::not_found);
    EXPECT_EQ(parse_named_shape("gemma3-1b:q9").status().code(), errc::invalid_argument);
    EXPECT_EQ(near_shape("gemma3-1B"), "gemma3-1b");
    EXPECT_EQ(near_shape("bananas"), "");
}

TEST(layers, of_gemma_3_1b) {
    const gguf_model model = shape_named("gemma3-1b");
    ASSERT_EQ(model.layers.size(), 26u);
    size_t n_full = 0;
    for (const model_layer & layer : model.layers) {
        n_full += layer.window == 0;
        EXPECT_EQ(layer.q_width, 1024);
        EXPECT_EQ(layer.k_width + layer.v_width, 512);
        EXPECT_TRUE(layer.owns_cache);
        EXPECT_TRUE(layer.gelu);
        EXPECT_EQ(layer.ffn_width, 6912);
        EXPECT_EQ(layer.n_norms, 6);
        EXPECT_EQ(layer.norm_width, 4 * 1152 + 1024 + 256);
    }
    EXPECT_EQ(n_full, 4u);
    // 4096 cells in 4 layers, 1024 (a window of 512 and a micro-batch) in 22, of 512 halves.
    EXPECT_EQ(kv_bytes(model.layers, 4096), uint64_t(4 * 4096 + 22 * 1024) * 1024);
    EXPECT_EQ(kv_bytes(model.layers, 100), uint64_t(26) * 100 * 1024);
}

TEST(layers, that_share_or_have_no_cache) {
    const gguf_model e4b = shape_named("gemma4-e4b");
    size_t n_own = 0;
    for (const model_layer & layer : e4b.layers) {
        n_own += layer.owns_cache;
        EXPECT_GT(layer.k_width, 0) << "layers that share a cache still read it";
    }
    EXPECT_EQ(n_own, 24u);
    const gguf_model qwen = shape_named("qwen3.5-9b");
    size_t n_state = 0;
    for (const model_layer & layer : qwen.layers) {
        n_state += layer.state > 0;
        EXPECT_EQ(layer.state > 0, layer.q_width == 0);
    }
    EXPECT_EQ(n_state, 24u);
    EXPECT_EQ(qwen.layers[0].state, 32 * 128 * 128);
    const gguf_model experts = shape_named("gemma4-26b-a4b");
    EXPECT_EQ(experts.layers[0].expert_width, 704);
    EXPECT_EQ(experts.n_experts_used, 8u);
}

// The predictor adds the same jobs as the planner.
TEST(npu_work, is_the_planners_time) {
    for (const char * shape : {"gemma4-26b-a4b", "lfm2-8b-a1b", "gemma4-e2b", "qwen3.5-9b"}) {
        const gguf_model model = shape_named(shape);
        for (const format f : all_formats) {
            plan_settings wishes;
            wishes.formats = f;
            for (const model_tensor & t : model.tensors) {
                if (!t.is_multiplied) continue;
                const auto plan = plan_weight(t.facts, soc(), wishes);
                if (!plan.ok()) continue;
                for (const size_t rows : {1, 7, 512}) {
                    const npu_work work = work_of(soc(), plan_jobs(plan.value(), rows, model.n_experts_used));
                    const double us = plan_us(plan.value(), rows, model.n_experts_used);
                    EXPECT_NEAR(work.total_us(), us, 1e-9 * us) << t.facts.name;
                    EXPECT_GE(work.core_us, us * 0.999);
                }
            }
        }
    }
}

// The stacks of gate and up are one list of jobs, whose time and wake-up count once; the parts add up to the whole.
TEST(npu_work, of_siblings_is_shared) {
    const gguf_model model = shape_named("lfm2-8b-a1b");
    const forecast f(model, board_named("rk3588-16g-lpddr5"), soc(), policy_named("speed"), 4096);
    for (const size_t rows : {1, 512}) {
        std::map<std::string, std::vector<const planned_tensor *>> lists;
        double npu_us = 0;
        for (const planned_tensor & p : f.planned()) {
            npu_us += jobs_of(p, rows, model.n_experts_used).us();
            if (p.plan.value().n_matrices > 1) lists[p.plan.value().group].push_back(&p);
        }
        size_t n_together = 0;
        for (const auto & [group, members] : lists) {
            std::vector<const matmul_plan *> plans;
            double us = 0, us_alone = 0;
            int n_first = 0;
            for (const planned_tensor * p : members) {
                const tensor_jobs jobs = jobs_of(*p, rows, model.n_experts_used);
                plans.push_back(&p->plan.value());
                us += jobs.us();
                us_alone += plan_us(p->plan.value(), rows, model.n_experts_used);
                n_first += jobs.is_first;
            }
            EXPECT_EQ(n_first, 1) << group;
            EXPECT_NEAR(us, plan_us(plans, rows, model.n_experts_used, 0), 1e-9 * us) << group;
            n_together += members.size() == 2;
            if (members.size() == 2 && rows == 1) {
                EXPECT_LT(us, 0.9 * us_alone) << group;
            }
        }
        EXPECT_EQ(lists.size(), 44u); // gate and up, and down, of 22 layers
        EXPECT_EQ(n_together, 22u);
        EXPECT_NEAR(f.call(rows, rows, rows).npu(), npu_us, 1e-9 * npu_us);
    }
}

double decode_s(const gguf_model & model, const char * where, const char * formats, size_t depth = 0) {
    return 1e6 / forecast(model, board_named(where), soc(), policy_named(formats), 32768).decode(depth).total();
}

TEST(forecast, fewer_bits_faster_memory_and_shallow_contexts_are_faster) {
    const gguf_model model = shape_named("ministral3-3b");
    const char * lpddr5 = "rk3588-16g-lpddr5";
    const double w8a8 = decode_s(model, lpddr5, "w8a8");
    EXPECT_GT(decode_s(model, lpddr5, "w4a8"), 1.2 * w8a8); // K is cut more often, which costs runs
    EXPECT_LT(decode_s(model, lpddr5, "w16a16"), 0.7 * w8a8);
    EXPECT_LT(decode_s(model, "rk3588-16g-lpddr4x", "w8a8"), w8a8);
    EXPECT_LT(decode_s(model, lpddr5, "w8a8", 8192), w8a8);
    // At least the weights cross the bus once.
    EXPECT_LT(w8a8, soc().stream_all_gb_s / 3.43);
}

TEST(forecast, a_prompt_is_the_sum_of_its_batches) {
    const gguf_model model = shape_named("gemma3-1b");
    const forecast f(model, board_named("rk3588-16g-lpddr5"), soc(), policy_named("balanced"), 4096);
    const double two = f.call(512, 512, 0).total() + f.call(88, 600, 1).total();
    EXPECT_NEAR(f.prompt(600).total(), two, 1e-6 * two);
    // What the mask hides costs nothing: the first half of a prompt sees less.
    EXPECT_LT(f.call(512, 512, 0)[part::attention], 0.6 * f.call(512, 1024, 0)[part::attention]);
    EXPECT_GT(f.call(512, 512, 512).total(), f.call(512, 512, 1).total());
    const time_split decode = f.decode(0);
    EXPECT_NEAR(decode.npu() + decode.cpu(), decode.total(), 1e-6);
    for (const double us : decode.us)
        EXPECT_GE(us, 0);
    // Between an idle NPU and every core and the bus at their limits.
    const double watts = f.joules(decode) / (decode.total() * 1e-6);
    EXPECT_GT(watts, 0.5);
    EXPECT_LT(watts, 10);
}

TEST(forecast, what_does_not_fit_says_so) {
    const gguf_model model = shape_named("gemma4-26b-a4b:q8_0");
    EXPECT_FALSE(forecast(model, board_named("rk3588-8g-lpddr5"), soc(), policy_named("w8a8"), 4096).fits());
    EXPECT_TRUE(forecast(model, board_named("rk3588-32g-lpddr5"), soc(), policy_named("w8a8"), 4096).fits());
    EXPECT_FALSE(forecast(model, board_named("rk3588-16g-lpddr5"), soc(), policy_named("w8a8"), 4096).fits());
    EXPECT_TRUE(forecast(model, board_named("rk3588-16g-lpddr5"), soc(), policy_named("w4a8"), 4096).fits());
}

prediction predict_shape(const char * shape, const char * formats = "balanced", size_t context = 1024) {
    const named_shape named = parse_named_shape(shape).value();
    const predicted_model subject{"A <b>model</b>", named.shape->origin, named.shape->from_memory,
                                  model_of(*named.shape, named.source)};
    const auto p = predict_model(subject, board_named("rk3588-16g-lpddr5"), {formats, "w4a8"}, context);
    EXPECT_TRUE(p.ok()) << p.status().message();
    return p.value();
}

TEST(prediction, is_marked_as_modelled_in_every_form) {
    const prediction p = predict_shape("gemma3-1b:q8_0");
    EXPECT_NE(prediction_text(p).find("every figure is modelled"), std::string::npos);
    EXPECT_EQ(prediction_json(p)["figures"], "modelled");
    EXPECT_NE(prediction_page(p).find("Every figure is modelled"), std::string::npos);
    EXPECT_NE(prediction_text(p).find("from memory"), std::string::npos);
    EXPECT_TRUE(prediction_json(p)["configuration_from_memory"]);
}

TEST(prediction, the_page_needs_nothing_else) {
    const std::string page = prediction_page(predict_shape("gemma3-1b"));
    EXPECT_EQ(page.find("<b>model"), std::string::npos);
    EXPECT_NE(page.find("A &lt;b&gt;model&lt;/b&gt;"), std::string::npos);
    for (const char * outside : {"http", "src=", "href=", "<script", "nan", "inf\""})
        EXPECT_EQ(page.find(outside), std::string::npos) << outside;
    const auto count = [&](const std::string & word) {
        size_t n = 0;
        for (size_t at = page.find(word); at != std::string::npos; at = page.find(word, at + 1))
            n++;
        return n;
    };
    EXPECT_EQ(count("<svg"), 4u);
    for (const char * tag : {"svg", "table", "tr", "td", "text", "title", "h2", "div", "p"})
        EXPECT_EQ(count(std::string("<") + tag + ">") + count(std::string("<") + tag + " "),
                  count(std::string("</") + tag + ">"))
            << tag;
}

TEST(prediction, the_curve_ends_at_the_context_and_levers_are_sorted) {
    const prediction p = predict_shape("gemma4-e4b", "speed", 1000);
    ASSERT_EQ(p.curve.size(), 6u); // 32, 64, 128, 256, 512, 1000
    EXPECT_EQ(p.curve.back().tokens, 1000u);
    for (const curve_point & c : p.curve) // no decoding is in it
        EXPECT_NEAR(c.first_token_s * c.prompt_s, double(c.tokens), 1e-6);
    for (size_t i = 1; i < p.curve.size(); i++) {
        EXPECT_GT(p.curve[i].first_token_s, p.curve[i - 1].first_token_s);
        EXPECT_LE(p.curve[i].decode_s, p.curve[i - 1].decode_s);
    }
    ASSERT_FALSE(p.levers.empty());
    for (size_t i = 1; i < p.levers.size(); i++)
        EXPECT_LE(p.levers[i].decode_gain, p.levers[i - 1].decode_gain);
    EXPECT_EQ(p.formats.front().name, "speed");
    EXPECT_EQ(p.formats.back().name, "CPU alone");
    EXPECT_EQ(p.formats.back().bytes.npu_memory(), 0u);
    EXPECT_EQ(p.formats.back().decode.npu(), 0);
}

TEST(prediction, boards_and_policies_are_checked) {
    EXPECT_NE(find_board("rk3588-16g-lpddr6").status().message().find("did you mean rk3588-16g-lpddr5?"),
              std::string::npos);
    EXPECT_EQ(find_board("toaster").status().message().find("did you mean"), std::string::npos);
    const predicted_model subject{"m", "o", false, shape_named("gemma3-1b")};
    EXPECT_FALSE(predict_model(subject, board_named("rk3588-4g-lpddr5"), {"w3a3"}, 1024).ok());
}

} // namespace
} // namespace rknpu
