// See packed-weight.h.
#include "matmul/packed-weight.h"

#include "base/parallel.h"
#include "kernels/kernels.h"
#include "layout/layout.h"

#include <atomic>
#include <cmath>

namespace rknpu {

size_t reserved_bytes(const matmul_plan & plan) {
    return plan.weight_bytes() + plan.n_segments_max() * block_align;
}

result<std::unique_ptr<packed_weight>> packed_weight::create(engine & npu, weight_pool & pool, const matmul_plan & plan,
                                                             size_t expected_bytes) {
    std::unique_ptr<packed_weight> w(new packed_weight(npu, pool, plan));
    auto block = pool.reserve(reserved_bytes(plan), expected_bytes);
    if (!block.ok()) return block.status();
    w->block_ = block.value();
    if (auto s = w->cut_pieces(); !s.ok()) return s;
    w->basis_.rotate = make_rotation(plan.K, plan.rotation_block, plan.rotation_seed);
    return w;
}

std::vector<uint8_t *> packed_weight::segments() const {
    std::vector<uint8_t *> starts;
    size_t offset = 0;
    for (size_t i = 0; i < plan_.segments.size(); i++) {
        starts.push_back(block_.data() + offset);
        offset += round_up(plan_.segment_bytes(i), block_align);
    }
    return starts;
}

status packed_weight::cut_pieces() {
    pieces_.clear();
    const std::vector<uint8_t *> starts = segments();
    for (size_t i = 0; i < plan_.segments.size(); i++) {
        const size_t offset = block_.offset + size_t(starts[i] - block_.data());
        for (const n_slice & slice : plan_.slices) {
            // Rows of whole tiles are contiguous in the native layout (layout.h).
            const size_t row_bytes = element_bytes(plan_.type(), plan_.segments[i].K_padded);
            auto piece =
                npu_.npu().view(*block_.memory, offset + slice.n_begin * row_bytes, slice.N_padded * row_bytes);
            if (!piece.ok()) return piece.status();
            npu_.count().memories++;
            pieces_.push_back(std::move(piece.value()));
        }
    }
    scales_.assign(plan_.segments.size() * plan_.N, 0.0f);
    return {};
}

packing packed_weight::pack_rows(const row_source & rows, const preparation & how, size_t & bad_row) {
    const std::vector<uint8_t *> native = segments();
    const packed_target target{native.data(), scales_.data()};
    const rounding round{how.search, how.importance.empty() ? nullptr : how.importance.data(), how.feedback.get()};
    std::atomic<size_t> not_finite{plan_.N};
    std::atomic<bool> overflows{false};
    // Whole tiles, and as many rows as error feedback likes together.
    constexpr size_t grain = 64;
    parallel_for(plan_.N, grain, [&](size_t begin, size_t end) {
        std::vector<float> panel((end - begin) * plan_.K);
        for (size_t n = begin; n < end; n++)
            rows(n, panel.data() + (n - begin) * plan_.K);
        const packing outcome =
            pack_weight_rows(plan_, basis_, round, begin, end - begin, panel.data(), plan_.K, target);
        for (size_t n = begin; outcome == packing::not_finite && n < end; n++) {
            if (!std::isfinite(kernels::absmax(panel.data() + (n - begin) * plan_.K, plan_.K))) not_finite = n;
        }
        if (outcome == packing::overflows) overflows = true;
    });
    bad_row = not_finite;
    return bad_row != plan_.N ? packing::not_finite : overflows ? packing::overflows : packing::done;
}

status packed_weight::load(const row_source & rows, const preparation & how) {
    basis_.balance = how.balance;
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
    pool_.wrote(block_);
    return {};
}

void packed_weight::read_row(size_t n, float * row) const {
    const std::vector<uint8_t *> starts = segments();
    const std::vector<const uint8_t *> native(starts.begin(), starts.end());
    unpack_weight_row(plan_, basis_, n, native.data(), scales_.data(), row);
}

} // namespace rknpu
