// The tables of peers.h: every published end-to-end row of a backend of this family whose model and way of working its
// source describes, and rows of other stacks.
//
//   IN  invisiofficial's backend README (also PR ggml-org/llama.cpp#24972): taskset 4-7, -t 4, pp512 and tg128
//   I9, P12   the same repository, issue 9 and the closed pull request 12
//   U   unimatrix099/rk-llama.cpp RKNPU2-optimization-notes.md: Orange Pi 5 Ultra, LPDDR5-4800, clocks pinned
//   MF  marfrit/rk-llama.cpp docs/rknpu2-campaign-results.md: LPDDR5-6400, NPU 1 GHz
//   MJ  Mojo24x7/rk-llama.cpp BENCHMARKS.md: ROCK 5B+, LPDDR5-4800
//   RL  airockchip/rknn-llm benchmark.md of v1.3.0      OK  oRKLLM/ork-driver wiki
//   UP  unimatrix099/rk-llama.cpp RKNPU2-production.md
#include "predict/peers.h"

namespace rknpu {

namespace {

constexpr const char * lpddr5_16 = "rk3588-16g-lpddr5";
constexpr const char * lpddr5_32 = "rk3588-32g-lpddr5";

peer_way rotated() {
    peer_way way;
    way.hadamard = true;
    return way;
}
peer_way respawning(peer_way way) {
    way.team_made_anew = true;
    return way;
}
peer_way native(peer_way way) {
    way.layout = io_layout::native;
    return way;
}
peer_way marfrit(int n_cores) {
    peer_way way;
    way.rows_by_128 = true;
    way.n_cores = n_cores;
    return way;
}

// What is known of misses.
constexpr const char * nothing = "";
constexpr const char * narrow = "not explained; the narrowest model, where costs per product unknown to us weigh most";
constexpr const char * recurrent = "three of four layers are recurrent: such models read prompts slowly in all tables";
constexpr const char * cpu_experts = "experts on the CPU, which alone reads 31.7 there";
constexpr const char * tight_prompt = "27 GB of file and a copy in 32 GB: the CPU alone is slow there too, 9.8";
constexpr const char * tight_decode = "27 GB of file and a copy in 32 GB: the CPU alone is slow there too, 4.1";
constexpr const char * open = "not explained; threads and build are not stated, the shape is from memory";
constexpr const char * not_pinned = "before its author pinned the team to the big cores; the rest is not explained";
constexpr const char * early = "an early, unpinned build of an unnamed 9B model; its author later gained 35 to 43 %";
constexpr const char * unnamed = "which 9B model is not stated";

struct speed {
    size_t tokens; // of the prompt, or generated
    double tokens_s;
    const char * note = nothing;
};

struct table {
    std::vector<peer_row> rows;

    void prompt(const char * stack, const char * shape, format f, const speed & s, const peer_way & way,
                const char * where, const char * source) {
        rows.push_back({stack, shape, f, s.tokens, 0, s.tokens_s, way, where, source, s.note});
    }
    void decode(const char * stack, const char * shape, format f, const speed & s, const peer_way & way,
                const char * where, const char * source) {
        rows.push_back({stack, shape, f, 0, s.tokens, s.tokens_s, way, where, source, s.note});
    }
    void both(const char * stack, const char * shape, format f, const speed & p, const speed & d, const peer_way & way,
              const char * where, const char * source) {
        prompt(stack, shape, f, p, way, where, source);
        decode(stack, shape, f, d, way, where, source);
    }
};

void add_invisiofficial(table & t) {
    const auto readme = [&](const char * shape, format f, const speed & p, const speed & d, const peer_way & way = {},
                            const char * where = lpddr5_16) {
        t.both("invisiofficial", shape, f, p, d, way, where, "IN");
    };
    readme("granite4-350m:f16", format::w16a16, {512, 432, narrow}, {128, 20.2});
    readme("gemma3-1b:f16", format::w16a16, {512, 250}, {128, 10.8});
    readme("gemma3-1b:q8_0", format::w8a8, {512, 379}, {128, 16.5});
    readme("gemma3-1b:q4_0", format::w4a4, {512, 51}, {128, 16.7}, rotated());
    readme("ministral3-3b:q8_0", format::w8a8, {512, 120.9}, {128, 6.9});
    readme("qwen3.5-9b:q8_0", format::w8a8, {512, 44.6, recurrent}, {128, 3.2}, {}, lpddr5_32);
    readme("lfm2-8b-a1b:q8_0", format::w8a8, {512, 40.7, cpu_experts}, {128, 12.5});
    readme("gemma4-26b-a4b:q8_0", format::w8a8, {512, 13.4, tight_prompt}, {128, 2.9, tight_decode}, {}, lpddr5_32);
    t.prompt("invisiofficial", "gemma4-e2b:q8_0", format::w8a8, {512, 73, open}, {}, lpddr5_16, "P12");
    t.both("invisiofficial", "qwen3.5-2b:q8_0", format::w8a8, {512, 124.5, recurrent}, {128, 11.2}, {}, lpddr5_16,
           "P12");
    t.both("invisiofficial", "gemma4-e2b:q4_0", format::w4a4, {512, 21}, {128, 8.8}, rotated(), lpddr5_16, "I9");
}

void add_forks(table & t) {
    const char *first = "unimatrix099, original", *native_ac = "unimatrix099, native A/C", *e4b = "gemma4-e4b:q4_0";
    const char *qwen = "qwen2.5-1.5b:q4_0", *ornith = "qwen3.5-9b:q8_0";
    const peer_way respawns = respawning({}), rotates = respawning(rotated()), is_native = native(rotates);
    t.both(first, e4b, format::w8a8, {128, 39.8, not_pinned}, {128, 3.3}, respawns, lpddr5_16, "U");
    t.both(first, e4b, format::w4a4, {128, 7.7}, {128, 3.4}, rotates, lpddr5_16, "U");
    t.prompt(native_ac, e4b, format::w4a4, {128, 31.9, not_pinned}, is_native, lpddr5_16, "U");
    t.prompt(first, qwen, format::w4a4, {128, 25.7}, rotates, lpddr5_16, "U");
    t.prompt(native_ac, qwen, format::w4a4, {128, 93.9, not_pinned}, is_native, lpddr5_16, "U");
    t.both("marfrit, 1 core", ornith, format::w8a8, {512, 18.28, early}, {64, 0.89, early}, marfrit(1), lpddr5_32,
           "MF");
    t.prompt("marfrit, 2 cores", ornith, format::w8a8, {512, 30.26, early}, marfrit(2), lpddr5_32, "MF");
    t.both("marfrit, 3 cores", ornith, format::w8a8, {512, 38.13, early}, {64, 2.35, early}, marfrit(3), lpddr5_32,
           "MF");
    t.both("marfrit, pinned", ornith, format::w8a8, {512, 51.4, unnamed}, {128, 3.35, unnamed}, marfrit(3), lpddr5_32,
           "MF");
    t.decode("Mojo24x7", "gemma3-1b:q8_0", format::w8a8, {128, 17.32}, {}, lpddr5_16, "MJ");
}

} // namespace

const std::vector<peer_row> & peer_rows() {
    static const std::vector<peer_row> rows = [] {
        table t;
        add_invisiofficial(t);
        add_forks(t);
        return t.rows;
    }();
    return rows;
}

const std::vector<other_row> & other_rows() {
    static const std::vector<other_row> rows = {
        {"unimatrix099, newest", "gemma4-e4b:q4_0", "w4a4", 301, 8.97, 512, 64, lpddr5_16, "UP"},
        {"RKLLM 1.3.0", "qwen3-0.6b:q8_0", "w8a8", 128 / 0.19909, 32.91, 128, 160, lpddr5_16, "RL"},
        {"RKLLM 1.3.0", "qwen2.5-1.5b:q8_0", "w8a8", 128 / 0.37831, 16.69, 128, 160, lpddr5_16, "RL"},
        {"RKLLM 1.3.0", "qwen3.5-2b:q8_0", "w8a8", 128 / 0.77695, 13.59, 128, 160, lpddr5_16, "RL"},
        {"RKLLM 1.3.0", "gemma4-e2b:q8_0", "w8a8", 128 / 0.59906, 11.12, 128, 160, lpddr5_16, "RL"},
        {"RKLLM 1.2.3, by oRKLLM", "qwen3-1.7b:q8_0", "w8a8", 184, 11.7, 128, 64, lpddr5_16, "OK"},
    };
    return rows;
}

} // namespace rknpu
