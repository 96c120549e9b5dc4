// See packed-weight.h.
#include "matmul/packed-weight.h"

#include "base/log.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "layout/layout.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace rknpu {

namespace {

size_t reserved_matrix_bytes(const matmul_plan & plan) {
    return round_up(plan.matrix_bytes() + plan.n_segments_max() * block_align, block_align);
}

} // namespace

size_t reserved_bytes(const matmul_plan & plan) {
    return plan.n_matrices * reserved_matrix_bytes(plan);
}

result<std::unique_ptr<packed_weight>> packed_weight::create(engine & npu, weight_pool & pool, const matmul_plan & plan,
                                                             size_t expected_bytes, spacing room) {
    std::unique_ptr<packed_weight> w(new packed_weight(npu, pool, plan, room));
    const weight_pool::mark before = pool.here();
    status reserved = w->reserve_blocks(expected_bytes);
    if (reserved.ok()) reserved = w->cut_pieces();
    if (!reserved.ok()) {
        w->pieces_.clear();
        w->joint_pieces_.clear();
        pool.give_back(before);
        return reserved;
    }
    w->basis_.rotate = make_rotation(plan.K, plan.rotation_block, plan.rotation_seed);
    return w;
}

// Blocks of one matrix: a stack may spread over several allocations.
status packed_weight::reserve_blocks(size_t expected_bytes) {
    const size_t bytes = room_ == spacing::close ? plan_.matrix_bytes() : reserved_matrix_bytes(plan_);
    for (size_t i = 0; i < plan_.n_matrices; i++) {
        auto block = pool_.reserve(bytes, expected_bytes - std::min(expected_bytes, i * bytes));
        if (!block.ok()) return block.status();
        blocks_.push_back(block.value());
    }
    return {};
}

std::vector<uint8_t *> packed_weight::segments(size_t matrix) const {
    std::vector<uint8_t *> starts;
    size_t offset = 0;
    for (size_t i = 0; i < plan_.segments.size(); i++) {
        starts.push_back(blocks_[matrix].data() + offset);
        // One job may take all segments; otherwise each starts on a page where there is room.
        const size_t align = plan_.joint_slices.empty() && room_ == spacing::roomy ? block_align : 1;
        offset += round_up(plan_.segment_bytes(i), align);
    }
    return starts;
}

status packed_weight::cut_pieces() {
    is_cut_ = false;
    pieces_.clear();
    joint_pieces_.clear();
    const size_t n_segments = plan_.segments.size();
    for (size_t i = 0; i < plan_.n_matrices * n_segments; i++) {
        const weight_block & block = blocks_[i / n_segments];
        const size_t offset = block.offset + size_t(segments(i / n_segments)[i % n_segments] - block.data());
        // Rows of whole tiles are contiguous in the native layout (layout.h).
        const size_t row_bytes = element_bytes(plan_.type(), plan_.segments[i % n_segments].K_padded);
        const auto cut = [&](const std::vector<n_slice> & slices, auto & pieces) -> status {
            for (const n_slice & slice : slices) {
                auto piece =
                    npu_.npu().view(*block.memory, offset + slice.n_begin * row_bytes, slice.N_padded * row_bytes);
                if (!piece.ok()) return piece.status();
                npu_.count().memories++;
                pieces.push_back(std::move(piece.value()));
            }
            return {};
        };
        if (auto s = cut(plan_.slices, pieces_); !s.ok()) return s;
        if (i % n_segments != 0 || plan_.joint_slices.empty()) continue;
        if (auto s = cut(plan_.joint_slices, joint_pieces_); !s.ok()) return s;
    }
    scales_.assign(plan_.n_matrices * n_segments * plan_.N, 0.0f);
    is_cut_ = true;
    return {};
}

packing packed_weight::pack_rows(const row_source & rows, const preparation & how, size_t & bad_row) {
    const rounding round{how.search, how.importance.empty() ? nullptr : how.importance.data(), how.feedback.get()};
    const size_t none = plan_.n_matrices * plan_.N;
    std::atomic<size_t> not_finite{none};
    std::atomic<bool> overflows{false};
    // Whole tiles, and as many rows as error feedback likes together.
    constexpr size_t panel_rows = 64;
    const size_t n_panels = (plan_.N + panel_rows - 1) / panel_rows;
    parallel_for(plan_.n_matrices * n_panels, 1, [&](size_t at, size_t) {
        const size_t matrix = at / n_panels, begin = at % n_panels * panel_rows;
        const size_t count = std::min(panel_rows, plan_.N - begin), row = matrix * plan_.N + begin;
        std::vector<float> panel(count * plan_.K);
        for (size_t n = 0; n < count; n++)
            rows(row + n, panel.data() + n * plan_.K);
        const std::vector<uint8_t *> native = segments(matrix);
        const packed_target target{native.data(), scales_.data() + matrix * plan_.segments.size() * plan_.N};
        const packing outcome = pack_weight_rows(plan_, basis_, round, begin, count, panel.data(), plan_.K, target);
        for (size_t n = 0; outcome == packing::not_finite && n < count; n++) {
            if (!std::isfinite(kernels::absmax(panel.data() + n * plan_.K, plan_.K))) not_finite = row + n;
        }
        if (outcome == packing::overflows) overflows = true;
    });
    bad_row = not_finite;
    return bad_row != none ? packing::not_finite : overflows ? packing::overflows : packing::done;
}

status packed_weight::load(const row_source & rows, const preparation & how) {
    basis_.balance = plan_.balance ? how.balance : std::vector<float>();
    if (!is_cut_) {
        if (auto s = cut_pieces(); !s.ok()) return s;
    }
    for (;;) {
        size_t bad_row = 0;
        const packing outcome = pack_rows(rows, how, bad_row);
        if (outcome == packing::done) break;
        if (outcome == packing::not_finite) {
            return {errc::invalid_argument,
                    "row " + std::to_string(bad_row) +
                        " holds a NaN or an infinity: the file is damaged or the model unusable"};
        }
        plan_ = with_shorter_segments(plan_);
        if (auto s = cut_pieces(); !s.ok()) return s;
    }
    for (const weight_block & block : blocks_)
        pool_.wrote(block);
    return {};
}

status packed_weight::cut_as_packed(size_t n_segments) {
    if (is_cut_ && plan_.segments.size() == n_segments) return {};
    matmul_plan plan = planned_;
    while (plan.segments.size() < n_segments && plan.segments.size() < plan.n_segments_max())
        plan = with_shorter_segments(plan);
    if (plan.segments.size() != n_segments)
        return {errc::invalid_argument,
                format_text("no weight of %zu columns is cut into %zu segments", plan.K, n_segments)};
    plan_ = std::move(plan);
    return cut_pieces();
}

std::vector<byte_range> packed_weight::contents() {
    std::vector<byte_range> parts = {
        {reinterpret_cast<uint8_t *>(scales_.data()), scales_.size() * sizeof(scales_.front())}};
    for (size_t matrix = 0; matrix < plan_.n_matrices; matrix++) {
        const std::vector<uint8_t *> starts = segments(matrix);
        for (size_t i = 0; i < starts.size(); i++)
            parts.push_back({starts[i], plan_.segment_bytes(i)});
    }
    return parts;
}

void packed_weight::loaded_from_disk(std::vector<float> balance) {
    basis_.balance = plan_.balance ? std::move(balance) : std::vector<float>();
    for (const weight_block & block : blocks_)
        pool_.wrote(block);
}

status packed_weight::forget_cuts() {
    return cut_as_packed(planned_.segments.size());
}

void packed_weight::read_row(size_t n, float * row) const {
    const size_t matrix = n / plan_.N;
    const std::vector<uint8_t *> starts = segments(matrix);
    const std::vector<const uint8_t *> native(starts.begin(), starts.end());
    unpack_weight_row(plan_, basis_, n % plan_.N, native.data(), scales(0, matrix), row);
}

bool reads_alike(const packed_weight & x, const packed_weight & y) {
    return cut_alike(x.plan(), y.plan()) && x.in().balance == y.in().balance && x.domain() == y.domain();
}

} // namespace rknpu
