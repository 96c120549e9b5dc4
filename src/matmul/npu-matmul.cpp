// See npu-matmul.h.
#include "matmul/npu-matmul.h"

#include "base/check.h"
#include "base/log.h"
#include "kernels/kernels.h"
#include "matmul/stopwatch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

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

auto dequantizer_of(const format_traits & f) {
    if (f.digits == 2) return f.type == element::i8 ? kernels::dequantize_i32_digits : kernels::dequantize_i16_digits;
    return f.type == element::f16  ? kernels::dequantize_f32_f32
           : f.type == element::i8 ? kernels::dequantize_i32_f32
                                   : kernels::dequantize_i16_f32;
}

} // namespace

// Columns [n_begin, n_begin + n_padded) of a slice, whole weight tiles; n_real of them exist in the output.
struct npu_matmul::share {
    size_t step, slice;
    const job_shape & shape; // of the whole job
    size_t n_begin;          // within the slice
    size_t n_padded, n_real;
};

job_shape npu_matmul::shape_of(size_t step, size_t slice) const {
    const matmul_plan & plan = weight_->plan();
    return {plan.type(), stage_->chunks()[chunk_of(step)].M, plan.segments[segment_of(step)].K_padded,
            plan.slices[slice].N_padded};
}

void npu_matmul::prepare(engine & npu, const packed_weight & weight, const activation_stage & stage, float * output,
                         size_t output_stride, const char * name) {
    npu_ = &npu;
    weight_ = &weight;
    stage_ = &stage;
    output_ = output;
    output_stride_ = output_stride;
    name_ = name;
    n_segments_ = weight.plan().segments.size();
    n_steps_ = stage.chunks().size() * n_segments_;
    const tile_shape & tile = weight.plan().soc->tile(weight.plan().type());
    tile_ = size_t(tile.weight_n);
    atom_ = size_t(tile.output_n);
    jobs_.clear();
    for (size_t step = 0; step < n_steps_; step++) {
        const bool in_reach = stage.staging(chunk_of(step), segment_of(step)).memory != nullptr && !npu.retired();
        for (size_t slice = 0; slice < n_slices(); slice++) {
            const job_shape shape = shape_of(step, slice);
            job_context * context = in_reach ? npu.jobs().context(shape, int(slice), weight.domain()) : nullptr;
            device_memory * out =
                context ? npu.jobs().output(shape, int(slice), step % n_output_turns, weight.domain()) : nullptr;
            jobs_.push_back({shape, out ? context : nullptr, out});
        }
    }
    const size_t n_jobs = jobs_.size();
    if (n_jobs > progress_capacity_) {
        progress_ = std::make_unique<progress[]>(n_jobs);
        readers_ = std::make_unique<std::atomic<int>[]>(n_jobs);
        progress_capacity_ = n_jobs;
    }
}

void npu_matmul::reset() {
    const status flushed = weight_->pool().flush();
    if (!flushed.ok()) npu_->note_sync(flushed);
    weight_visible_ = flushed.ok();
    broken_ = false;
    submitted_ = 0;
    for (size_t i = 0; i < jobs_.size(); i++)
        progress_[i].ticket = 0;
    for (size_t i = 0; i < n_steps_; i++)
        readers_[i] = 0;
}

template <class F> void npu_matmul::wait_until(F && condition) const {
    while (!condition()) {
        RKNPU_CHECK(!broken_, "another thread of the team has failed");
        std::this_thread::yield();
    }
}

void npu_matmul::run(int ith, int nth) {
    try {
        run_steps(ith, nth);
    } catch (...) {
        give_up();
        throw;
    }
}

void npu_matmul::run_steps(int ith, int nth) {
    for (size_t step = 0; step < n_steps_; step++) {
        if (ith == 0) submit_ready_steps(step, nth);
        for (size_t slice = 0; slice < n_slices(); slice++)
            read_job(step, slice, ith, nth);
        readers_[step].fetch_add(1);
    }
}

// Hands out every step whose output memory has been read, at the least the step that is needed now (it then waits for
// the slower readers of the step that used this memory before).
void npu_matmul::submit_ready_steps(size_t needed, int nth) {
    while (submitted_ < n_steps_) {
        if (submitted_ >= n_output_turns) {
            const auto & readers = readers_[submitted_ - n_output_turns];
            if (submitted_ > needed && readers < nth) return;
            wait_until([&] { return readers >= nth; });
        }
        submit(submitted_++);
    }
}

void npu_matmul::submit(size_t step) {
    for (size_t slice = 0; slice < n_slices(); slice++) {
        const job & j = jobs_[step * n_slices() + slice];
        auto & ticket = progress_[step * n_slices() + slice].ticket;
        if (!j.context || npu_->retired() || !weight_visible_ || !stage_->visible()) {
            ticket = not_on_npu;
            continue;
        }
        device_memory & piece = weight_->piece(segment_of(step), slice);
        counters & count = npu_->count();
        count.jobs++;
        count.weight_bytes += piece.bytes();
        count.output_bytes += j.output->bytes();
        ticket = npu_->team().submit(
            int(slice), {j.context, stage_->staging(chunk_of(step), segment_of(step)).memory.get(), &piece, j.output});
    }
}

status npu_matmul::wait_for(size_t step, size_t slice) {
    const auto & ticket = progress_[step * n_slices() + slice].ticket;
    wait_until([&] { return ticket != 0; });
    if (ticket == not_on_npu) return {errc::unsupported, "not on the NPU"};
    return npu_->team().wait(int(slice), ticket);
}

void npu_matmul::read_job(size_t step, size_t slice, int ith, int nth) {
    const n_slice & cut = weight_->plan().slices[slice];
    const job & j = jobs_[step * n_slices() + slice];
    const size_t n_tiles = cut.N_padded / tile_;
    share s{step, slice, j.shape, n_tiles * size_t(ith) / size_t(nth) * tile_, 0, 0};
    s.n_padded = n_tiles * size_t(ith + 1) / size_t(nth) * tile_ - s.n_begin;
    s.n_real = s.n_begin < cut.N ? std::min(s.n_padded, cut.N - s.n_begin) : 0;
    stopwatch watch(npu_->count().npu_wait_ns, ith == 0);
    const status outcome = wait_for(step, slice);
    watch.next(npu_->count().dequantize_ns);
    const bool was_on_npu = progress_[step * n_slices() + slice].ticket != not_on_npu;
    if (ith == 0 && was_on_npu) npu_->note_job(int(slice), outcome);
    if (ith == 0 && !outcome.ok()) npu_->count().jobs_on_cpu++;
    if (s.n_real == 0) return;
    if (outcome.ok() && !npu_->wishes().check) {
        dequantize_share(s, j.output->data() + s.n_begin / atom_ * s.shape.M * 16);
        return;
    }
    std::vector<uint8_t> cells(s.shape.M * s.n_padded * size_t(accumulator_bytes(s.shape.type)));
    compute_share(s, cells.data());
    if (outcome.ok()) check_share(s, cells.data());
    dequantize_share(s, cells.data());
}

const uint8_t * npu_matmul::share_weight(const share & s) const {
    return weight_->piece(segment_of(s.step), s.slice).data() + element_bytes(s.shape.type, s.n_begin * s.shape.K);
}

// The job's arithmetic in software: the same cells as the NPU's, of this share only.
void npu_matmul::compute_share(const share & s, uint8_t * cells) const {
    const uint8_t * activation = stage_->staging(chunk_of(s.step), segment_of(s.step)).data();
    const uint8_t * weight = share_weight(s);
    software_product(s.shape.type)(activation, weight, cells, s.shape.M, s.shape.K, 0, s.n_padded);
}

// Compares the NPU's cells with the CPU's. Integers must be equal. Sums in f32 may differ by their order: any two
// orders of K additions lie within K * 2^-24 * sum |a * b| of the exact value, so within twice that of each other.
void npu_matmul::check_share(const share & s, const uint8_t * cells) {
    const uint8_t * npu_cells =
        jobs_[s.step * n_slices() + s.slice].output->data() + s.n_begin / atom_ * s.shape.M * 16;
    const size_t rows = stage_->chunks()[chunk_of(s.step)].rows * size_t(weight_->plan().traits().digits);
    const bool is_f16 = s.shape.type == element::f16;
    const std::vector<float> magnitudes = is_f16 ? share_magnitudes(s) : std::vector<float>();
    double worst = 0;
    size_t n_wrong = 0;
    for (size_t i = 0; i < s.shape.M * s.n_padded; i++) {
        if (i / atom_ % s.shape.M >= rows) continue; // padding
        const double npu = accumulator(s.shape.type, npu_cells, i), cpu = accumulator(s.shape.type, cells, i);
        const double tolerance = is_f16 ? 2 * double(s.shape.K) * std::ldexp(1.0, -24) * double(magnitudes[i]) : 0;
        const double difference = npu == cpu || (std::isnan(npu) && std::isnan(cpu)) ? 0 : std::fabs(npu - cpu);
        if (difference <= tolerance) continue;
        n_wrong++;
        worst = std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
    }
    npu_->count().shares_checked++;
    if (n_wrong == 0) return;
    npu_->count().shares_wrong++;
    log_error(
        "check: %s, core %zu: %zu of %zu accumulators of a job differ from the CPU's, the worst by %g; the CPU's are "
        "used",
        name_.c_str(), s.slice, n_wrong, rows * s.n_padded, worst);
}

// sum |a * b| for each accumulator of a share, in cells: the product of the operands without their signs.
std::vector<float> npu_matmul::share_magnitudes(const share & s) const {
    const auto without_signs = [](const uint8_t * halfs, size_t bytes) {
        std::vector<uint8_t> copy(halfs, halfs + bytes);
        for (size_t i = 1; i < bytes; i += 2)
            copy[i] &= 0x7f; // the sign of a little-endian half
        return copy;
    };
    const auto activation =
        without_signs(stage_->staging(chunk_of(s.step), segment_of(s.step)).data(), s.shape.activation_bytes());
    const auto weight = without_signs(share_weight(s), element_bytes(s.shape.type, s.n_padded * s.shape.K));
    std::vector<float> sums(s.shape.M * s.n_padded);
    kernels::matmul_native_f16(activation.data(), weight.data(), sums.data(), s.shape.M, s.shape.K, 0, s.n_padded);
    return sums;
}

void npu_matmul::dequantize_share(const share & s, const uint8_t * cells) const {
    const row_chunk & chunk = stage_->chunks()[chunk_of(s.step)];
    const size_t segment = segment_of(s.step);
    const size_t stride = s.shape.M * 16, first_column = weight_->plan().slices[s.slice].n_begin + s.n_begin;
    const float * scales = weight_->scales(segment) + first_column;
    const size_t row_bytes = size_t(weight_->plan().traits().digits) * 16;
    const auto dequantize = dequantizer_of(weight_->plan().traits());
    // A block of columns at a time over all rows, for a cache line holds four rows' cells. One row is mostly one block.
    const size_t block = std::max(tile_, block_accumulators / s.shape.M / tile_ * tile_);
    for (size_t n = 0; n < s.n_real; n += block) {
        const size_t count = std::min(block, s.n_real - n);
        for (size_t m = 0; m < chunk.rows; m++) {
            float * y = output_ + (chunk.m_begin + m) * output_stride_ + first_column + n;
            dequantize(cells + n / atom_ * stride + m * row_bytes, stride, stage_->scale(chunk.m_begin + m), scales + n,
                       count, segment > 0, y);
        }
    }
}

} // namespace rknpu
