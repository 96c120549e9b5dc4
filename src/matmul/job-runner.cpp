// See job-runner.h.
#include "matmul/job-runner.h"

#include "base/log.h"
#include "kernels/kernels.h"
#include "layout/layout.h"
#include "matmul/stopwatch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace rknpu {

namespace {

constexpr uint64_t not_on_npu = std::numeric_limits<uint64_t>::max();

// Accumulators that are dequantized before the next columns: 32 KiB of cells and as much of rows fit an A76's L1 cache
// (64 KiB).
constexpr size_t block_accumulators = 8192;

double accumulator(element type, const uint8_t * cells, size_t index) {
    if (type == element::f16) {
        float value;
        std::memcpy(&value, cells + 4 * index, 4);
        return value;
    }
    if (type == element::i4) {
        int16_t value;
        std::memcpy(&value, cells + 2 * index, 2);
        return value;
    }
    int32_t value;
    std::memcpy(&value, cells + 4 * index, 4);
    return value;
}

auto software_product(element type) {
    return type == element::f16  ? kernels::matmul_native_f16
           : type == element::i8 ? kernels::matmul_native_i8
                                 : kernels::matmul_native_i4;
}

decltype(&kernels::dequantize_i32_f32) dequantizer_of(const format_traits & f) {
    if (f.digits == 2) return f.type == element::i8 ? kernels::dequantize_i32_digits : kernels::dequantize_i16_digits;
    return f.type == element::f16  ? kernels::dequantize_f32_f32
           : f.type == element::i8 ? kernels::dequantize_i32_f32
                                   : kernels::dequantize_i16_f32;
}

} // namespace

// Columns [n_begin, n_begin + n_padded) of a job, whole weight tiles; n_real of them are first_column and the following
// ones of the output.
struct job_runner::share {
    const queued_job & job;
    const output_part & part;
    size_t n_begin;
    size_t n_padded, n_real;
    size_t first_column;
};

void job_runner::begin(engine & npu, const matmul_plan & plan, size_t stride) {
    npu_ = &npu;
    leader_ = nullptr;
    digits_ = size_t(plan.traits().digits);
    dequantize_ = dequantizer_of(plan.traits());
    stride_ = stride;
    const tile_shape & tile = plan.soc->tile(plan.type());
    tile_ = size_t(tile.weight_n);
    atom_ = size_t(tile.output_n);
    jobs_.clear();
    parts_.clear();
    n_cores_used_ = 0;
    by_core_.resize(size_t(npu.team().n_cores()));
    submitted_.resize(by_core_.size());
    for (auto & indices : by_core_)
        indices.clear();
}

void job_runner::add(const queued_job & job) {
    n_cores_used_ = std::max(n_cores_used_, size_t(job.core) + 1);
    by_core_[size_t(job.core)].push_back(uint32_t(jobs_.size()));
    jobs_.push_back(job);
    jobs_.back().first_part = parts_.size();
    jobs_.back().n_parts = 0;
}

void job_runner::add_part(const output_part & part) {
    parts_.push_back(part);
    jobs_.back().n_parts++;
}

void job_runner::add_joint_parts(const packed_weight & weight, size_t matrix, const n_slice & slice, size_t M,
                                 size_t first_column) {
    const matmul_plan & plan = weight.plan();
    for (size_t s = 0; s < plan.segments.size(); s++) {
        const size_t first = first_column + s * plan.N_padded(); // column of the segment among those of the job
        const size_t begin = std::max(slice.n_begin, first);
        const size_t end = std::min(slice.n_begin + slice.N_padded, first + plan.N);
        if (begin >= end) continue;
        const size_t column = begin - first;
        add_part({s * M, begin - slice.n_begin, column, end - begin, weight.scales(s, matrix) + column, s > 0});
    }
}

void job_runner::reset() {
    if (jobs_.size() > progress_capacity_) {
        progress_ = std::make_unique<progress[]>(jobs_.size());
        progress_capacity_ = jobs_.size();
    }
    for (size_t i = 0; i < jobs_.size(); i++) {
        progress_[i].ticket = 0;
        progress_[i].readers = 0;
    }
    std::fill(submitted_.begin(), submitted_.end(), size_t(0));
}

void job_runner::run(int ith, int nth, bool visible, const team_sync & team) {
    for (size_t i = 0; i < jobs_.size(); i++) {
        if (ith == 0) hand_out(i, nth, visible, team);
        read(i, ith, nth, team);
        progress_[i].readers.fetch_add(1);
    }
}

bool job_runner::has_all_memory() const {
    return std::all_of(jobs_.begin(), jobs_.end(),
                       [](const queued_job & j) { return j.context && j.activation && j.output; });
}

void job_runner::hand_out(size_t needed, int nth, bool visible, const team_sync & team) {
    if (!leader_) {
        submit_ready(needed, nth, visible, team);
        return;
    }
    // 0: the leader has not run, or failed; nobody is going to hand the job out.
    const uint64_t handed_out = leader_->progress_[needed].ticket;
    progress_[needed].ticket = handed_out ? handed_out : not_on_npu;
}

// Hands out every job whose output memory has been read, at the least the one that is needed now (it then waits for the
// slower readers of the job that used this memory before).
void job_runner::submit_ready(size_t needed, int nth, bool visible, const team_sync & team) {
    for (size_t core = 0; core < n_cores_used_; core++) {
        const std::vector<uint32_t> & queue = by_core_[core];
        for (size_t & at = submitted_[core]; at < queue.size(); at++) {
            if (at >= n_output_turns) {
                const auto & readers = progress_[queue[at - n_output_turns]].readers;
                if (queue[at] > needed && readers < nth) break;
                team.wait_until([&] { return readers >= nth; });
            }
            submit(queue[at], visible);
        }
    }
}

void job_runner::submit(size_t index, bool visible) {
    const queued_job & j = jobs_[index];
    auto & ticket = progress_[index].ticket;
    if (!j.context || !j.activation || !j.output || !visible || npu_->retired()) {
        ticket = not_on_npu;
        return;
    }
    counters & count = npu_->count();
    count.jobs++;
    count.domain_switches += npu_->enters_domain(j.weight->domain());
    count.weight_bytes += j.weight->bytes();
    count.output_bytes += j.output->bytes();
    ticket = npu_->team().submit(j.core, {j.context, j.activation, j.weight, j.output});
}

status job_runner::wait_for(size_t index, const team_sync & team) {
    const auto & ticket = progress_[index].ticket;
    team.wait_until([&] { return ticket != 0; });
    if (ticket == not_on_npu) return {errc::unsupported, "not on the NPU"};
    return npu_->team().wait(jobs_[index].core, ticket);
}

void job_runner::read(size_t index, int ith, int nth, const team_sync & team) {
    const queued_job & j = jobs_[index];
    stopwatch watch(npu_->count().npu_wait_ns, ith == 0);
    const status outcome = wait_for(index, team);
    watch.next(npu_->count().dequantize_ns);
    const bool was_on_npu = progress_[index].ticket != not_on_npu;
    const bool accounts = ith == 0 && !leader_;
    if (accounts && was_on_npu) npu_->note_job(j.core, outcome);
    if (accounts && !outcome.ok()) npu_->count().jobs_on_cpu++;
    const size_t n_tiles = (j.n_shared + tile_ - 1) / tile_;
    const size_t own_begin = j.shared_column + n_tiles * size_t(ith) / size_t(nth) * tile_;
    const size_t own_end = j.shared_column + n_tiles * size_t(ith + 1) / size_t(nth) * tile_;
    for (size_t i = j.first_part; i < j.first_part + j.n_parts; i++) {
        const output_part & part = parts_[i];
        const size_t begin = std::max(own_begin, part.first_column);
        const size_t end = std::min(own_end, part.first_column + part.n_columns);
        if (begin >= end) continue;
        const size_t count = end - begin;
        read_share({j, part, part.column + begin - part.first_column, round_up(count, tile_), count, begin},
                   outcome.ok());
    }
}

void job_runner::read_share(const share & s, bool on_npu) {
    const queued_job & j = s.job;
    if (on_npu && !npu_->wishes().check) {
        dequantize_share(s, j.output->data() + s.n_begin / atom_ * j.shape.M * 16);
        return;
    }
    std::vector<uint8_t> cells(j.shape.M * s.n_padded * size_t(accumulator_bytes(j.shape.type)));
    compute_share(s, cells.data());
    if (on_npu) check_share(s, cells.data());
    dequantize_share(s, cells.data());
}

const uint8_t * job_runner::share_weight(const share & s) const {
    return s.job.weight->data() + element_bytes(s.job.shape.type, s.n_begin * s.job.shape.K);
}

// The job's arithmetic in software: the same cells as the NPU's, of this share only.
void job_runner::compute_share(const share & s, uint8_t * cells) const {
    const job_shape & shape = s.job.shape;
    software_product(shape.type)(s.job.activation_data, share_weight(s), cells, shape.M, shape.K, 0, s.n_padded);
}

// Compares the NPU's cells with the CPU's. Integers must be equal. Sums in f32 may differ by their order: any two
// orders of K additions lie within K * 2^-24 * sum |a * b| of the exact value, so within twice that of each other.
void job_runner::check_share(const share & s, const uint8_t * cells) {
    const job_shape & shape = s.job.shape;
    const uint8_t * npu_cells = s.job.output->data() + s.n_begin / atom_ * shape.M * 16;
    const size_t rows = s.job.rows * digits_;
    const bool is_f16 = shape.type == element::f16;
    const std::vector<float> magnitudes = is_f16 ? share_magnitudes(s) : std::vector<float>();
    double worst = 0;
    size_t n_wrong = 0;
    for (size_t i = 0; i < shape.M * s.n_padded; i++) {
        const size_t row = i / atom_ % shape.M;
        if (row < s.part.row || row >= s.part.row + rows) continue; // nobody reads it
        const double npu = accumulator(shape.type, npu_cells, i), cpu = accumulator(shape.type, cells, i);
        const double tolerance = is_f16 ? 2 * double(shape.K) * std::ldexp(1.0, -24) * double(magnitudes[i]) : 0;
        const double difference = npu == cpu || (std::isnan(npu) && std::isnan(cpu)) ? 0 : std::fabs(npu - cpu);
        if (difference <= tolerance) continue;
        n_wrong++;
        worst = std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
    }
    npu_->count().shares_checked++;
    if (n_wrong == 0) return;
    npu_->count().shares_wrong++;
    log_error(
        "check: %s, core %d: %zu of %zu accumulators of a job differ from the CPU's, the worst by %g; the CPU's are "
        "used",
        s.job.name, s.job.core, n_wrong, rows * s.n_padded, worst);
}

// sum |a * b| for each accumulator of a share, in cells: the product of the operands without their signs.
std::vector<float> job_runner::share_magnitudes(const share & s) const {
    const auto without_signs = [](const uint8_t * halfs, size_t bytes) {
        std::vector<uint8_t> copy(halfs, halfs + bytes);
        for (size_t i = 1; i < bytes; i += 2)
            copy[i] &= 0x7f; // the sign of a little-endian half
        return copy;
    };
    const job_shape & shape = s.job.shape;
    const auto activation = without_signs(s.job.activation_data, shape.activation_bytes());
    const auto weight = without_signs(share_weight(s), element_bytes(shape.type, s.n_padded * shape.K));
    std::vector<float> sums(shape.M * s.n_padded);
    kernels::matmul_native_f16(activation.data(), weight.data(), sums.data(), shape.M, shape.K, 0, s.n_padded);
    return sums;
}

void job_runner::dequantize_share(const share & s, const uint8_t * cells) const {
    const queued_job & j = s.job;
    const size_t stride = j.shape.M * 16;
    const float * scales = s.part.column_scales + (s.first_column - s.part.first_column);
    const size_t row_bytes = digits_ * 16;
    // A block of columns at a time over all rows, for a cache line holds four rows' cells. One row is mostly one block.
    const size_t block = std::max(tile_, block_accumulators / j.shape.M / tile_ * tile_);
    for (size_t n = 0; n < s.n_real; n += block) {
        const size_t count = std::min(block, s.n_real - n);
        for (size_t m = 0; m < j.rows; m++) {
            float * y = j.to + (j.targets ? j.targets[m] : j.first_row + m) * stride_ + s.first_column + n;
            dequantize_(cells + n / atom_ * stride + s.part.row * 16 + m * row_bytes, stride, j.row_scales[m],
                        scales + n, count, s.part.accumulate, y);
        }
    }
}

} // namespace rknpu
