// See plan.h.
#include "plan/plan.h"

#include "base/check.h"
#include "base/log.h"
#include "layout/layout.h"

#include <algorithm>

namespace rknpu {

namespace {

// Job sizes in rows. 16 rows ride on one weight pass up to K = 8192 in int8 and 4096 in f16 (chip.cpp, activation
// cache), so finer steps would add contexts and save nothing; at 128 rows the fixed cost of a run is a few percent of
// it. Where a row of the activation is two of a job, 256 of these are as many results to read as 128 of one elsewhere.
// Experts mostly get fewer rows: up to 97 are multiplied in the time that three cores need to stream the weight, so
// that 96 cost an expert no more than 17 do. Every size costs contexts, staging memory and file descriptors for each
// shape.
using size_list = std::vector<size_t>;

const size_list & sizes_of(const matmul_plan & plan) {
    static const size_list row_sizes = {1, 16, 128}, row_sizes_of_digits = {2, 16, 128, 256};
    static const size_list row_sizes_of_stack = {1, 16, 96, 128}, row_sizes_of_stack_of_digits = {2, 16, 96, 128};
    if (plan.n_matrices > 1) return plan.traits().digits == 1 ? row_sizes_of_stack : row_sizes_of_stack_of_digits;
    return plan.traits().digits == 1 ? row_sizes : row_sizes_of_digits;
}

// Largest output staging of one job; a 262144-row output head at 512 rows would otherwise take half a GiB.
constexpr size_t output_bytes_max = size_t(16) << 20;

// Mean |code| of a rotated 4-bit row is 2.0 to 2.4 (normal values clipped at 2.5 to 3 sigma), so that segments of this
// length mostly keep within format_traits::code_sum_max; a weight that does not is cut once more.
constexpr size_t i4_segment_k = 1600;
// No code is beyond 8 in magnitude, nor a digit of an activation: 480 x 8 x 8 is below 32767, at whole tiles of K.
constexpr size_t i4_segment_k_min = 480;

// A job of 128 rows of an expert takes one piece of staging for each segment (staging-arena.h).
constexpr int64_t stack_k_max = 32768;

// A tile of weights is 32 bytes for each column of K, of any type: whole pages (block_align) where K
// is a multiple of this. Windows that start on a page are what is surest to work.
constexpr size_t paged_k = 128;
// Rows of a job of all segments. The chip would take three times as many for nothing; the output grows with the square
// of the segments.
constexpr size_t joint_rows_max = 32;
constexpr size_t joint_blocks_max = 128; // rows x segments: no more output than 128 rows of one segment

// n segments of about the same length; all but the last are whole tiles.
std::vector<k_segment> cut_k(size_t K, size_t n, size_t align) {
    std::vector<k_segment> segments;
    const size_t length = round_up((K + n - 1) / n, align);
    for (size_t k = 0; k < K; k += length)
        segments.push_back({k, std::min(K - k, length), round_up(std::min(K - k, length), align)});
    return segments;
}

// Segments of one length, the last one padded, so that one job can take them all: of whole pages, where that makes no
// more than a thirty-second of K padding. Any cut into more segments takes no more bytes.
std::vector<k_segment> cut_k(const chip & soc, element type, size_t K) {
    const size_t longest = type == element::i4 ? i4_segment_k : size_t(soc.k_max);
    const size_t n = (K + longest - 1) / longest, paged = round_up((K + n - 1) / n, paged_k);
    const bool spares = n > 1 && n * paged - K <= K / 32;
    return cut_k(K, n, spares ? paged : round_up((K + n - 1) / n, size_t(soc.tile(type).k_align)));
}

// Slices are whole weight tiles, so that each is one contiguous range of the packed weight.
std::vector<n_slice> cut_n(const tile_shape & tile, size_t N, int n_slices) {
    std::vector<n_slice> slices;
    const size_t step = size_t(std::max(tile.weight_n, tile.n_align));
    const size_t n_steps = (N + step - 1) / step;
    for (int i = 0; i < n_slices; i++) {
        const size_t begin = n_steps * size_t(i) / size_t(n_slices) * step;
        const size_t end = n_steps * size_t(i + 1) / size_t(n_slices) * step;
        if (end > begin) slices.push_back({begin, std::min(end, N) - begin, end - begin});
    }
    return slices;
}

// One core or all of them: what the timing model finds faster for one row, the case that decode repeats.
int choose_n_slices(const chip & soc, element type, size_t K, size_t N, int n_cores) {
    if (n_cores <= 0 || n_cores > soc.n_cores) n_cores = soc.n_cores;
    const size_t k = std::min(K, size_t(soc.k_max));
    return node_us(soc, type, 1, k, N, n_cores) < node_us(soc, type, 1, k, N, 1) ? n_cores : 1;
}

size_t widest(const std::vector<n_slice> & slices) {
    size_t N = 0;
    for (const n_slice & slice : slices)
        N = std::max(N, slice.N_padded);
    return N;
}

size_t largest_power_of_two_divisor(size_t value) {
    return value & (~value + 1);
}

// FNV-1a: stable over platforms and versions, as packed files need.
uint64_t hash_text(const std::string & text) {
    uint64_t hash = 14695981039346656037ull;
    for (const unsigned char c : text)
        hash = (hash ^ c) * 1099511628211ull;
    return hash;
}

// A whole word of the dotted or underscored name replaced, e.g. attn_q -> attn_qkv.
bool replace_word(std::string & text, const std::string & from, const std::string & to) {
    const size_t at = text.find(from);
    if (at == std::string::npos) return false;
    // Neither cross_attn_q, whose keys come from elsewhere, nor attn_q.weight.lora_b.
    const std::string rest = text.substr(at + from.size());
    if ((at > 0 && text[at - 1] != '.') || !(rest.empty() || rest == ".weight")) return false;
    text.replace(at, from.size(), to);
    return true;
}

// Gives the runs of M rows with one matrix to the visitor: one for each segment of K, or one for all of them.
template <typename visitor> void each_run(const matmul_plan & plan, size_t M, visitor && visit) {
    const size_t n_segments = plan.segments.size();
    const size_t n_joint = joins_segments(plan, M) ? n_segments : 1;
    for (size_t i = 0; i < n_segments; i += n_joint)
        visit(npu_run{plan.type(), M * n_joint, plan.segments[i].K_padded, n_joint * plan.N_padded()});
}

// The run cut into the plan's slices, each on a core of its own.
run_cost sliced_cost(const matmul_plan & plan, const npu_run & run) {
    return node_cost(*plan.soc, run, int(plan.slices.size()));
}

// A job of M rows, or those of all segments of K.
double step_us(const matmul_plan & plan, size_t M) {
    if (plan.n_matrices > 1) return matrix_us(plan, M, plan.n_cores);
    double sum = 0;
    each_run(plan, M, [&](const npu_run & run) { sum += sliced_cost(plan, run).us; });
    return sum;
}

// One job of M rows for each of n_active matrices of one shape, spread over the cores.
void add_stack_jobs(const matmul_plan & plan, size_t M, size_t n_active, std::vector<planned_jobs> & out) {
    const size_t n_cores = std::min(n_active, size_t(plan.n_cores));
    const auto add = [&](size_t n_at_once, size_t n_rounds) {
        each_run(plan, M, [&](const npu_run & run) {
            run_cost cost = cost_of(*plan.soc, run, int(n_at_once));
            cost.dram_bytes *= double(n_at_once);
            out.push_back({run, int(n_at_once), n_rounds, cost});
        });
    };
    add(n_cores, n_active / n_cores);
    if (const size_t rest = n_active % n_cores) add(rest, 1); // the last round, with cores that idle
}

// Cheapest way to cover M rows of jobs with the sizes up to max: either one padded job, or the largest full one and the
// rest.
double cover(const matmul_plan & plan, size_t M, size_t max, size_t & first) {
    const size_list & sizes = sizes_of(plan);
    const auto up = std::find_if(sizes.begin(), sizes.end(), [&](size_t size) { return size >= M; });
    const bool fits = up != sizes.end() && *up <= max;
    size_t down = 0;
    for (const size_t size : sizes) {
        if (size < M && size <= max) down = size;
    }
    const double up_us = fits ? step_us(plan, *up) : 0;
    if (fits && (down == 0 || *up == M)) {
        first = *up;
        return up_us;
    }
    if (!fits && M > 2 * max) { // a long batch: full jobs until the end is near
        first = max;
        return 0;
    }
    size_t ignored;
    const double down_us = step_us(plan, down) + cover(plan, M - down, max, ignored);
    first = fits && up_us <= down_us ? *up : down;
    return fits ? std::min(up_us, down_us) : down_us;
}

bool fits_a_tile(const chip & soc, format f, const weight_facts & facts) {
    const tile_shape & tile = soc.tile(format_element(f));
    return facts.K >= tile.weight_k && facts.N >= tile.weight_n;
}

// What the policy wishes, or 8 bits where 4 cannot be had.
format_choice choose_format(const weight_facts & facts, const chip & soc, const plan_settings & wishes) {
    const format_choice choice = wishes.formats.choose(facts);
    if (format_element(choice.numeric_format) != element::i4) return choice;
    const format wider = choice.numeric_format == format::w4a8 ? format::w8a16 : format::w8a8;
    if (!wishes.int4) return {wider, choice.reason + "; int4 failed its self-test"};
    if (!fits_a_tile(soc, choice.numeric_format, facts)) return {wider, choice.reason + "; too narrow for int4"};
    if (facts.K > int64_t(segments_max * i4_segment_k_min)) return {wider, choice.reason + "; too long for int4"};
    return choice;
}

} // namespace

size_t matmul_plan::N_padded() const {
    return slices.back().n_begin + slices.back().N_padded;
}

size_t matmul_plan::segment_bytes(size_t segment) const {
    return element_bytes(type(), segments[segment].K_padded * N_padded());
}

size_t matmul_plan::n_segments_max() const {
    if (traits().code_sum_max == 0) return segments.size();
    const size_t align = size_t(soc->tile(type()).k_align);
    const size_t shortest = size_t(traits().code_sum_max / (traits().weight_limit + 1)) / align * align;
    return std::max(segments.size(), (K + shortest - 1) / shortest);
}

matmul_plan with_shorter_segments(matmul_plan plan) {
    const size_t before = plan.segments.size(), align = size_t(plan.soc->tile(plan.type()).k_align);
    RKNPU_CHECK(before < plan.n_segments_max(), "no weight needs shorter segments than these");
    // A cut into n may give fewer than n segments where whole tiles do not come out even.
    for (size_t n = before + 1; plan.segments.size() <= before; n++)
        plan.segments = cut_k(plan.K, n, align);
    plan.joint_slices.clear();
    return plan;
}

size_t matmul_plan::matrix_bytes() const {
    size_t sum = 0;
    for (size_t i = 0; i < segments.size(); i++)
        sum += segment_bytes(i);
    return sum;
}

size_t matmul_plan::weight_bytes() const {
    return n_matrices * matrix_bytes();
}

std::string activation_group(const std::string & tensor_name) {
    std::string name = tensor_name;
    for (const char * word : {"attn_q", "attn_k", "attn_v"}) {
        if (replace_word(name, word, "attn_qkv")) return name;
    }
    for (const char * word : {"ffn_gate", "ffn_up"}) {
        if (replace_word(name, word, "ffn_gate_up")) return name;
    }
    for (const char * word : {"ffn_gate_exps", "ffn_up_exps"}) {
        if (replace_word(name, word, "ffn_gate_up_exps")) return name;
    }
    return name;
}

result<matmul_plan> plan_weight(const weight_facts & facts, const chip & soc, const plan_settings & wishes) {
    const auto refuse = [](std::string reason) { return rknpu::status(errc::unsupported, std::move(reason)); };
    format_choice choice = choose_format(facts, soc, wishes);
    const format wanted = choice.numeric_format;
    const element type = format_element(wanted);
    const tile_shape & tile = soc.tile(type);
    if (!fits_a_tile(soc, wanted, facts)) {
        return refuse(format_text("smaller than one weight tile of the chip (%d x %d)", tile.weight_n, tile.weight_k));
    }
    const bool is_stack = facts.n_matrices > 1;
    if (is_stack && facts.K > stack_k_max) {
        return refuse(format_text("experts of more than %d columns are multiplied by the CPU", int(stack_k_max)));
    }
    matmul_plan plan;
    plan.soc = &soc;
    plan.n_matrices = size_t(facts.n_matrices);
    plan.n_cores = wishes.n_cores > 0 ? std::min(wishes.n_cores, soc.n_cores) : soc.n_cores;
    plan.numeric_format = wanted;
    plan.reason = std::move(choice.reason);
    plan.K = size_t(facts.K);
    plan.N = size_t(facts.N);
    plan.segments = cut_k(soc, type, plan.K);
    // Experts share the cores as wholes: several are active at once, and a cut would cost each of them more runs.
    plan.slices = is_stack ? cut_n(tile, plan.N, 1) : slice_columns(soc, type, plan.K, plan.N, wishes.n_cores);
    if (plan.segments.size() > 1 && plan.segments.back().K_padded == plan.segments.front().K_padded)
        plan.joint_slices = cut_n(tile, plan.segments.size() * plan.N_padded(), int(plan.slices.size()));
    const size_t block = largest_power_of_two_divisor(plan.K);
    plan.group = activation_group(facts.name);
    plan.rotation_block = wishes.rotate && plan.traits().is_integer() && block > 1 ? block : 0;
    plan.rotation_seed = plan.rotation_block ? hash_text(plan.group) : 0;
    plan.balance = wishes.balance && plan.traits().is_integer();
    for (size_t i = 0; i < plan.segments.size(); i++) {
        if (plan.segment_bytes(i) > soc.allocation_bytes_max) {
            return refuse(format_text("%.1f GiB in one piece; the NPU's allocations end at %.1f GiB",
                                      double(plan.segment_bytes(i)) / double(1 << 30),
                                      double(soc.allocation_bytes_max) / double(1 << 30)));
        }
    }
    return plan;
}

bool cut_alike(const matmul_plan & a, const matmul_plan & b) {
    return a.K == b.K && a.numeric_format == b.numeric_format && a.rotation_block == b.rotation_block &&
           a.rotation_seed == b.rotation_seed && a.segments.size() == b.segments.size() &&
           a.joint_slices.empty() == b.joint_slices.empty();
}

std::vector<n_slice> slice_columns(const chip & soc, element type, size_t K, size_t N, int n_cores) {
    return cut_n(soc.tile(type), N, choose_n_slices(soc, type, K, N, n_cores));
}

bool output_fits(element type, size_t M, size_t N) {
    return M * N * size_t(accumulator_bytes(type)) <= output_bytes_max;
}

bool joins_segments(const matmul_plan & plan, size_t M) {
    const size_t n = plan.segments.size(), row_bytes = element_bytes(plan.type(), plan.segments.front().K_padded);
    return !plan.joint_slices.empty() && M * n <= joint_rows_max && M * n * n <= joint_blocks_max &&
           M * n * row_bytes <= plan.soc->activation_cache_bytes &&
           output_fits(plan.type(), M * n, widest(plan.joint_slices));
}

size_t next_row_size(const matmul_plan & plan, size_t M) {
    for (const size_t size : sizes_of(plan)) {
        if (size > M && size <= row_size_max(plan)) return size;
    }
    return 0;
}

size_t row_size_max(const matmul_plan & plan) {
    const size_t N = widest(plan.slices);
    size_t best = sizes_of(plan).front();
    for (const size_t M : sizes_of(plan)) {
        if (output_fits(plan.type(), M, N)) best = M;
    }
    return best;
}

void plan_rows(const matmul_plan & plan, size_t M, std::vector<row_chunk> & out) {
    out.clear();
    const size_t max = row_size_max(plan), digits = size_t(plan.traits().digits);
    for (size_t m = 0; m < M;) {
        size_t size = 0;
        cover(plan, (M - m) * digits, max, size);
        const size_t rows = std::min(size / digits, M - m);
        out.push_back({m, rows, size});
        m += rows;
    }
}

double matrix_us(const matmul_plan & plan, size_t M, int n_active) {
    double sum = 0;
    each_run(plan, M, [&](const npu_run & run) { sum += cost_of(*plan.soc, run, n_active).us; });
    return sum;
}

std::vector<planned_jobs> plan_jobs(const matmul_plan & plan, size_t M, size_t n_used, size_t n_siblings) {
    const bool is_stack = plan.n_matrices > 1;
    const size_t n_rows = is_stack ? M * n_used : M, n_active = std::min(plan.n_matrices, n_rows);
    std::vector<row_chunk> chunks;
    plan_rows(plan, (n_rows + n_active - 1) / n_active, chunks);
    std::vector<planned_jobs> jobs;
    for (const row_chunk & chunk : chunks) {
        if (is_stack)
            add_stack_jobs(plan, chunk.M, n_active * n_siblings, jobs);
        else
            each_run(plan, chunk.M, [&](const npu_run & run) {
                jobs.push_back({run, int(plan.slices.size()), 1, sliced_cost(plan, run)});
            });
    }
    return jobs;
}

double sum_us(const std::vector<planned_jobs> & jobs) {
    double sum = 0;
    for (const planned_jobs & j : jobs)
        sum += j.cost.us * double(j.n_rounds);
    return sum;
}

double plan_us(const matmul_plan & plan, size_t M, size_t n_used) {
    return sum_us(plan_jobs(plan, M, n_used));
}

} // namespace rknpu
