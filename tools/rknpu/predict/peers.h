// Other projects' published end-to-end speeds on this chip, and a model of how they came about: a backend that takes
// single matmuls, one context per tensor and core, rows of A and C in normal layout, everything else on the CPU.
//
// Invariant: the same timing model, host costs and shapes as of our own predictions. What describes a row is what its
// source says of it; no constant is fitted to a row of this table.
#pragma once

#include "plan/format.h"
#include "predict/forecast.h"

#include <string>
#include <vector>

namespace rknpu {

// How a peer's backend does one matmul.
struct peer_way {
    io_layout layout = io_layout::normal;
    bool hadamard = false;       // K padded to a power of two, rotated by scalar code, again for each segment of K
    bool rows_by_128 = false;    // M rounded up to multiples of 128, not to powers of two
    bool team_made_anew = false; // the OpenMP team is torn down and made again around each matmul
    int n_cores = 3;
};

struct peer_row {
    const char * stack; // whose build
    const char * shape; // as parse_named_shape takes it
    format numeric_format;
    size_t prompt;    // tokens of a prompt; 0: decoding
    size_t generated; // tokens, averaged over; 0: a prompt
    double tokens_s;  // published
    peer_way way;
    const char * board_name; // of our table, the nearest
    const char * source;
    const char * note; // what the source leaves open, or what we think of a miss; "": nothing
};
const std::vector<peer_row> & peer_rows();

// Published speeds that are shown beside ours, of ways of working that the model does not describe.
struct other_row {
    const char * stack;
    const char * shape;
    const char * format_text;
    double prompt_s, decode_s; // tokens/s; 0: not published
    size_t prompt, depth;
    const char * board_name;
    const char * source;
};
const std::vector<other_row> & other_rows();

double predict_peer(const peer_row & row); // tokens/s

struct peer_result {
    const peer_row * row;
    double predicted;
    double ratio() const { return predicted / row->tokens_s; }
    bool within(double part) const { return ratio() >= 1 - part && ratio() <= 1 + part; }
};
std::vector<peer_result> predict_peers();
constexpr double peer_tolerance = 0.25;

} // namespace rknpu
