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

} // namespace

const std::vector<peer_row> & peer_rows() {
    static const std::vector<peer_row> rows = {
        {"invisiofficial", "granite4-350m:f16", format::w16a16, 512, 0, 432, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "granite4-350m:f16", format::w16a16, 0, 128, 20.2, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:f16", format::w16a16, 512, 0, 250, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:f16", format::w16a16, 0, 128, 10.8, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:q8_0", format::w8a8, 512, 0, 379, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:q8_0", format::w8a8, 0, 128, 16.5, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:q4_0", format::w4a4, 512, 0, 51, rotated(), lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma3-1b:q4_0", format::w4a4, 0, 128, 16.7, rotated(), lpddr5_16, "IN", ""},
        {"invisiofficial", "ministral3-3b:q8_0", format::w8a8, 512, 0, 120.9, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "ministral3-3b:q8_0", format::w8a8, 0, 128, 6.9, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "qwen3.5-9b:q8_0", format::w8a8, 512, 0, 44.6, {}, lpddr5_32, "IN", ""},
        {"invisiofficial", "qwen3.5-9b:q8_0", format::w8a8, 0, 128, 3.2, {}, lpddr5_32, "IN", ""},
        {"invisiofficial", "lfm2-8b-a1b:q8_0", format::w8a8, 512, 0, 40.7, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "lfm2-8b-a1b:q8_0", format::w8a8, 0, 128, 12.5, {}, lpddr5_16, "IN", ""},
        {"invisiofficial", "gemma4-26b-a4b:q8_0", format::w8a8, 512, 0, 13.4, {}, lpddr5_32, "IN", ""},
        {"invisiofficial", "gemma4-26b-a4b:q8_0", format::w8a8, 0, 128, 2.9, {}, lpddr5_32, "IN", ""},
        {"invisiofficial", "gemma4-e2b:q8_0", format::w8a8, 512, 0, 73, {}, lpddr5_16, "P12", ""},
        {"invisiofficial", "qwen3.5-2b:q8_0", format::w8a8, 512, 0, 124.5, {}, lpddr5_16, "P12", ""},
        {"invisiofficial", "qwen3.5-2b:q8_0", format::w8a8, 0, 128, 11.2, {}, lpddr5_16, "P12", ""},
        {"invisiofficial", "gemma4-e2b:q4_0", format::w4a4, 512, 0, 21, rotated(), lpddr5_16, "I9", ""},
        {"invisiofficial", "gemma4-e2b:q4_0", format::w4a4, 0, 128, 8.8, rotated(), lpddr5_16, "I9", ""},
        {"unimatrix099, original", "gemma4-e4b:q4_0", format::w8a8, 128, 0, 39.8, respawning({}), lpddr5_16, "U", ""},
        {"unimatrix099, original", "gemma4-e4b:q4_0", format::w8a8, 0, 128, 3.3, respawning({}), lpddr5_16, "U", ""},
        {"unimatrix099, original", "gemma4-e4b:q4_0", format::w4a4, 128, 0, 7.7, respawning(rotated()), lpddr5_16, "U", ""},
        {"unimatrix099, original", "gemma4-e4b:q4_0", format::w4a4, 0, 128, 3.4, respawning(rotated()), lpddr5_16, "U", ""},
        {"unimatrix099, native A/C", "gemma4-e4b:q4_0", format::w4a4, 128, 0, 31.9, respawning(native(rotated())), lpddr5_16, "U", ""},
        {"unimatrix099, original", "qwen2.5-1.5b:q4_0", format::w4a4, 128, 0, 25.7, respawning(rotated()), lpddr5_16, "U", ""},
        {"unimatrix099, native A/C", "qwen2.5-1.5b:q4_0", format::w4a4, 128, 0, 93.9, respawning(native(rotated())), lpddr5_16, "U", ""},
        {"marfrit, 1 core", "qwen3.5-9b:q8_0", format::w8a8, 512, 0, 18.28, marfrit(1), lpddr5_32, "MF", ""},
        {"marfrit, 2 cores", "qwen3.5-9b:q8_0", format::w8a8, 512, 0, 30.26, marfrit(2), lpddr5_32, "MF", ""},
        {"marfrit, 3 cores", "qwen3.5-9b:q8_0", format::w8a8, 512, 0, 38.13, marfrit(3), lpddr5_32, "MF", ""},
        {"marfrit, 1 core", "qwen3.5-9b:q8_0", format::w8a8, 0, 64, 0.89, marfrit(1), lpddr5_32, "MF", ""},
        {"marfrit, 3 cores", "qwen3.5-9b:q8_0", format::w8a8, 0, 64, 2.35, marfrit(3), lpddr5_32, "MF", ""},
        {"marfrit, pinned", "qwen3.5-9b:q8_0", format::w8a8, 512, 0, 51.4, marfrit(3), lpddr5_32, "MF", ""},
        {"marfrit, pinned", "qwen3.5-9b:q8_0", format::w8a8, 0, 128, 3.35, marfrit(3), lpddr5_32, "MF", ""},
        {"Mojo24x7", "gemma3-1b:q8_0", format::w8a8, 0, 128, 17.32, {}, lpddr5_16, "MJ", ""},
    };
    return rows;
}

} // namespace rknpu
