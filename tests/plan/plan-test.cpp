// The planner: cuts, refusals in words, purity; property tests over random shapes with a printed seed.
#include "plan/plan.h"

#include "layout/layout.h"
#include "plan/cost.h"

#include <gtest/gtest.h>

#include <random>

namespace rknpu {
namespace {

const chip & soc() {
    return *find_chip("rk3588").value();
}

matmul_plan plan_of(int64_t K, int64_t N, format f = format::w8a8, const char * name = "blk.0.attn_q.weight") {
    plan_settings wishes;
    wishes.formats = f;
    auto plan = plan_weight({name, K, N}, soc(), wishes);
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.value();
}

TEST(chip, unknown_chips_are_refused_in_words) {
    EXPECT_TRUE(find_chip("rk3588s").ok());
    const auto refused = find_chip("rk3576");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), errc::unsupported);
    EXPECT_NE(refused.status().message().find("rk3576"), std::string::npos);
}

TEST(plan, small_matmuls_take_one_core_and_large_ones_all) {
    EXPECT_EQ(plan_of(512, 384).slices.size(), 1u);
    EXPECT_EQ(plan_of(4096, 4096).slices.size(), 3u);
    EXPECT_EQ(plan_of(4096, 4096, format::w16a16).slices.size(), 3u);
}

TEST(plan, slices_of_the_output_head_of_gemma_4) {
    const matmul_plan p = plan_of(2816, 262144);
    ASSERT_EQ(p.slices.size(), 3u);
    EXPECT_EQ(p.slices[0].n_begin, 0u);
    EXPECT_EQ(p.slices[0].N, 87360u);
    EXPECT_EQ(p.slices[1].n_begin, 87360u);
    EXPECT_EQ(p.slices[2].n_begin, 174752u);
    EXPECT_EQ(p.slices[2].N, 87392u);
}

TEST(plan, k_beyond_8192_is_cut) {
    const matmul_plan p = plan_of(20480 + 5, 64);
    ASSERT_EQ(p.segments.size(), 3u);
    EXPECT_EQ(p.segments[2].k_begin, 2 * 6912u); // of one length, the last one padded
    EXPECT_EQ(p.segments[2].K, 6661u);
    EXPECT_EQ(p.segments[2].K_padded, 6912u);
}

TEST(plan, jobs_of_few_rows_take_all_segments_at_once) {
    const matmul_plan p = plan_of(2816, 4096, format::w4a8);
    ASSERT_EQ(p.segments.size(), 2u);
    EXPECT_TRUE(joins_segments(p, 2));
    EXPECT_TRUE(joins_segments(p, 16));
    EXPECT_FALSE(joins_segments(p, 128));
    EXPECT_FALSE(joins_segments(plan_of(2816, 4096), 1)); // there is one segment
    EXPECT_TRUE(joins_segments(plan_of(16384, 4096), 1));
    EXPECT_FALSE(joins_segments(plan_of(16384, 4096), 16)); // 32 rows of 8192 bytes take more than one weight pass
    EXPECT_FALSE(joins_segments(with_shorter_segments(p), 2));
    // One node in place of two.
    EXPECT_EQ(plan_us(p, 1), node_us(soc(), element::i4, 4, 1408, 2 * 4096, 3));
    EXPECT_LT(plan_us(p, 1), 2 * node_us(soc(), element::i4, 2, 1408, 4096, 3));
}

TEST(plan, joint_slices_cover_the_columns_of_all_segments) {
    for (const int64_t N : {64, 100, 2112, 4096}) {
        for (const int64_t K : {1601, 2112, 2816, 4096, 8192}) {
            const matmul_plan p = plan_of(K, N, format::w4a8);
            ASSERT_FALSE(p.joint_slices.empty()) << K;
            size_t n = 0;
            for (const n_slice & s : p.joint_slices) {
                EXPECT_EQ(s.n_begin, n);
                EXPECT_EQ(s.N_padded % 64, 0u);
                n += s.N_padded;
            }
            EXPECT_EQ(n, p.segments.size() * p.N_padded());
            for (const k_segment & s : p.segments)
                EXPECT_EQ(s.K_padded, p.segments.front().K_padded);
        }
    }
}

TEST(plan, segments_can_be_cut_until_no_code_overflows) {
    for (const format f : {format::w4a8, format::w4a4}) {
        for (const size_t K : {64, 600, 704, 2112, 4096, 14336 + 5}) {
            matmul_plan p = plan_of(K, 64, f);
            const size_t bytes = p.weight_bytes();
            while (p.segments.size() < p.n_segments_max()) {
                const size_t before = p.segments.size();
                p = with_shorter_segments(p);
                EXPECT_GT(p.segments.size(), before);
                EXPECT_LE(p.weight_bytes(), bytes);
            }
            size_t k = 0;
            for (const k_segment & s : p.segments) {
                EXPECT_EQ(s.k_begin, k);
                EXPECT_LE(s.K * size_t(p.traits().weight_limit + 1), size_t(p.traits().code_sum_max));
                k += s.K;
            }
            EXPECT_EQ(k, K);
        }
    }
    EXPECT_EQ(plan_of(20480, 64, format::w8a8).n_segments_max(), 3u);
}

TEST(plan, weights_too_narrow_for_int4_get_8_bits) {
    EXPECT_EQ(plan_of(512, 63, format::w4a8).numeric_format, format::w8a16);
    EXPECT_EQ(plan_of(512, 63, format::w4a4).numeric_format, format::w8a8);
    EXPECT_EQ(plan_of(512, 64, format::w4a4).numeric_format, format::w4a4);
}

TEST(plan, no_weight_can_need_more_segments_than_there_may_be) {
    for (const size_t K : {30720, 30721, 60000}) {
        EXPECT_LE(plan_of(K, 64, format::w4a8).n_segments_max(), segments_max);
        EXPECT_EQ(plan_of(K, 64, format::w4a8).numeric_format, K > 30720 ? format::w8a16 : format::w4a8);
    }
}

TEST(plan, two_digits_take_two_rows_of_a_job) {
    std::vector<row_chunk> chunks;
    const matmul_plan p = plan_of(512, 512, format::w4a8);
    for (const size_t M : {1, 2, 7, 8, 9, 64, 65, 300}) {
        plan_rows(p, M, chunks);
        size_t m = 0;
        for (const row_chunk & c : chunks) {
            EXPECT_EQ(c.m_begin, m);
            EXPECT_LE(2 * c.rows, c.M);
            m += c.rows;
        }
        EXPECT_EQ(m, M);
    }
    plan_rows(p, 1, chunks);
    EXPECT_EQ(chunks.front().M, 2u);
}

TEST(plan, rotation_block_divides_k_and_is_for_integers_only) {
    EXPECT_EQ(plan_of(2816, 64).rotation_block, 256u);
    EXPECT_EQ(plan_of(704, 64).rotation_block, 64u);
    EXPECT_EQ(plan_of(4096, 64).rotation_block, 4096u);
    EXPECT_EQ(plan_of(33, 64).rotation_block, 0u);
    EXPECT_EQ(plan_of(4096, 64, format::w16a16).rotation_block, 0u);
}

TEST(plan, names_that_only_look_like_a_group_are_none) {
    EXPECT_EQ(activation_group("blk.0.attn_q.weight"), "blk.0.attn_qkv.weight");
    EXPECT_EQ(activation_group("dec.blk.0.cross_attn_k.weight"), "dec.blk.0.cross_attn_k.weight");
    EXPECT_EQ(activation_group("blk.0.attn_q.weight.lora_b"), "blk.0.attn_q.weight.lora_b");
}

TEST(plan, weights_that_share_an_activation_share_a_seed) {
    const auto seed = [](const char * name) { return plan_of(512, 64, format::w8a8, name).rotation_seed; };
    EXPECT_EQ(seed("blk.3.attn_q.weight"), seed("blk.3.attn_k.weight"));
    EXPECT_EQ(seed("blk.3.attn_q.weight"), seed("blk.3.attn_v.weight"));
    EXPECT_EQ(seed("blk.3.ffn_gate.weight"), seed("blk.3.ffn_up.weight"));
    EXPECT_EQ(seed("blk.3.ffn_gate_exps.weight"), seed("blk.3.ffn_up_exps.weight"));
    EXPECT_NE(seed("blk.3.ffn_gate_exps.weight"), seed("blk.3.ffn_gate.weight"));
    EXPECT_NE(seed("blk.3.ffn_gate_exps.weight"), seed("blk.3.ffn_down_exps.weight"));
    EXPECT_NE(seed("blk.3.attn_q.weight"), seed("blk.4.attn_q.weight"));
    EXPECT_NE(seed("blk.3.attn_q.weight"), seed("blk.3.attn_output.weight"));
    // Not the same words, though they begin alike.
    EXPECT_NE(seed("blk.3.attn_q.weight"), seed("blk.3.attn_q_norm.weight"));
    // Packed weights will be kept on disk: the hash must never change.
    EXPECT_EQ(seed("output.weight"), 0x6d1cf81ef83b28c6ull);
}

TEST(plan, experts_are_cut_alike_and_run_whole) {
    const auto stack = plan_weight({"blk.0.ffn_gate_up_exps.weight", 4096, 4096, 128}, soc(), {});
    ASSERT_TRUE(stack.ok());
    EXPECT_EQ(stack.value().slices.size(), 1u);
    EXPECT_EQ(stack.value().matrix_bytes(), size_t(4096) * 4096);
    EXPECT_EQ(stack.value().weight_bytes(), size_t(128) * 4096 * 4096);
    const auto one = plan_of(4096, 4096);
    EXPECT_EQ(one.matrix_bytes(), one.weight_bytes());
}

TEST(plan, next_row_size_lists_what_plan_rows_chooses_from) {
    const matmul_plan p = plan_of(512, 512);
    std::vector<size_t> sizes;
    for (size_t M = 0; (M = next_row_size(p, M)) != 0;)
        sizes.push_back(M);
    EXPECT_EQ(sizes, (std::vector<size_t>{1, 16, 128}));
    EXPECT_EQ(next_row_size(plan_of(512, 512, format::w4a8), 0), 2u);
    EXPECT_EQ(next_row_size(plan_of(512, 512, format::w4a8), 128), 256u);
    const auto stack = plan_weight({"blk.0.ffn_up_exps.weight", 512, 512, 8}, soc(), {}).value();
    EXPECT_EQ(next_row_size(stack, 16), 96u);
    EXPECT_EQ(next_row_size(stack, 128), 0u);
    EXPECT_EQ(next_row_size(plan_of(2816, 262144), 16), 0u); // its output staging would be too large
}

TEST(plan, refusals_say_why) {
    const plan_settings wishes;
    const auto reason = [&](weight_facts facts) {
        const auto p = plan_weight(facts, soc(), wishes);
        EXPECT_FALSE(p.ok());
        EXPECT_EQ(p.status().code(), errc::unsupported);
        return p.status().message();
    };
    EXPECT_NE(reason({"ffn_gate_up_exps", 40000, 256, 16}).find("experts"), std::string::npos);
    EXPECT_NE(reason({"x", 16, 512}).find("smaller than one weight tile"), std::string::npos);
    EXPECT_NE(reason({"x", 512, 1}).find("smaller than one weight tile"), std::string::npos);
    EXPECT_NE(reason({"x", 8192, 262144 * 2}).find("GiB in one piece"), std::string::npos);
}

TEST(plan, properties_of_random_shapes) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int i = 0; i < 500; i++) {
        const int64_t K = 32 + random() % 20000, N = 32 + random() % 20000;
        const format f = random() % 2 ? format::w8a8 : format::w16a16;
        SCOPED_TRACE(testing::Message() << "K " << K << " N " << N << " " << format_name(f));
        const matmul_plan p = plan_of(K, N, f);
        size_t k = 0;
        for (const k_segment & s : p.segments) {
            EXPECT_EQ(s.k_begin, k);
            EXPECT_EQ(s.K_padded % 32, 0u);
            EXPECT_LE(s.K_padded, 8192u);
            EXPECT_LT(s.K_padded - s.K, std::max<size_t>(32, size_t(K) / 32 + 1));
            k += s.K;
        }
        EXPECT_EQ(k, size_t(K));
        const tile_shape & tile = soc().tile(p.type());
        size_t n = 0;
        for (const n_slice & s : p.slices) {
            EXPECT_EQ(s.n_begin, n);
            EXPECT_EQ(s.n_begin % size_t(tile.weight_n), 0u);
            EXPECT_EQ(s.N_padded % size_t(tile.n_align), 0u);
            EXPECT_GE(s.N_padded, s.N);
            n += s.N;
        }
        EXPECT_EQ(n, size_t(N));
        EXPECT_LE(p.slices.size(), 3u);
        EXPECT_GE(p.weight_bytes(), element_bytes(p.type(), size_t(K) * size_t(N)));
        // Asking again, in another order, changes nothing.
        plan_of(N, K, f);
        EXPECT_EQ(plan_of(K, N, f).weight_bytes(), p.weight_bytes());
    }
}

TEST(plan_rows, covers_every_row_with_known_sizes) {
    std::vector<row_chunk> chunks;
    for (const int64_t N : {64, 4096, 262144}) {
        const matmul_plan p = plan_of(2816, N);
        for (size_t M = 1; M < 1500; M += M < 70 ? 1 : 97) {
            plan_rows(p, M, chunks);
            size_t m = 0;
            for (const row_chunk & c : chunks) {
                EXPECT_EQ(c.m_begin, m);
                EXPECT_GE(c.M, c.rows);
                EXPECT_GT(c.rows, 0u);
                EXPECT_TRUE(c.M == 1 || c.M == 16 || c.M == 128) << c.M;
                EXPECT_LE(c.M, row_size_max(p));
                m += c.rows;
            }
            EXPECT_EQ(m, M) << N;
        }
    }
}

TEST(plan_rows, experts_whose_rows_fill_no_large_job_get_a_smaller_one) {
    plan_settings wishes;
    wishes.formats = format::w4a8;
    const auto stack = plan_weight({"blk.0.ffn_gate_up_exps.weight", 2816, 1408, 128}, soc(), wishes).value();
    std::vector<row_chunk> chunks;
    plan_rows(stack, 32, chunks); // as each expert has, on average, of 512 tokens that choose 8 of 128
    ASSERT_EQ(chunks.size(), 1u);
    EXPECT_EQ(chunks[0].M, 96u);
    // The last round of eight experts has two cores for itself.
    EXPECT_EQ(plan_us(stack, 1, 8), 2 * matrix_us(stack, 2, 3) + matrix_us(stack, 2, 2));
}

TEST(plan_rows, one_token_is_one_row_and_a_few_ride_on_one_pass) {
    std::vector<row_chunk> chunks;
    const matmul_plan p = plan_of(4096, 4096);
    plan_rows(p, 1, chunks);
    ASSERT_EQ(chunks.size(), 1u);
    EXPECT_EQ(chunks[0].M, 1u);
    plan_rows(p, 5, chunks);
    ASSERT_EQ(chunks.size(), 1u);
    EXPECT_EQ(chunks[0].M, 16u);
    plan_rows(p, 20, chunks); // two passes of 16 rows beat the four of 128
    ASSERT_EQ(chunks.size(), 2u);
    EXPECT_EQ(chunks[0].M, 16u);
    EXPECT_EQ(chunks[1].M, 16u);
    plan_rows(p, 512, chunks);
    ASSERT_EQ(chunks.size(), 4u);
    EXPECT_EQ(chunks[0].M, 128u);
}

} // namespace
} // namespace rknpu
