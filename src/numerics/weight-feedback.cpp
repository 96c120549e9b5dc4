// See weight-feedback.h.
#include "numerics/weight-feedback.h"

#include "base/parallel.h"
#include "numerics/moments.h"

#include <algorithm>

namespace rknpu {

namespace {

// Measured on the dense bundled model (emulated, 16 chunks, mean KLD of w8a16, w8a8, w4a8; 0.000057, 0.000116, 0.007706
// without feedback): blocks of 128 columns 0.000052, 0.000111, 0.007315; 256 0.000050, 0.000109, 0.007168; all of K
// 0.000048, 0.000107, 0.006824. A damping of 0.1 is too little (0.000053, 0.000113, 0.008326), 10 too much (0.000053,
// 0.000112, 0.007168). 1024 rows tell what all do (0.000049, 0.000108, 0.006830).
constexpr size_t block_columns = 256, sample_rows = 1024;
constexpr float damping = 1;

// Rows at one distance from each other, of all weights, as an activation of its direction would arrive.
std::vector<float> sample(const std::vector<weight_rows> & weights, size_t K, const basis & in, size_t & count) {
    size_t total = 0;
    for (const weight_rows & w : weights)
        total += w.N;
    const size_t step = (total + sample_rows - 1) / sample_rows;
    count = (total + step - 1) / step;
    std::vector<float> rows(count * K);
    parallel_for(count, 16, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; i++) {
            size_t n = i * step;
            auto w = weights.begin();
            for (; n >= w->N; w++)
                n -= w->N;
            float * row = rows.data() + i * K;
            w->rows(n, row);
            in.to_activation(row, K);
        }
    });
    return rows;
}

// Of columns [begin, begin + width): the upper triangle of width x width.
std::vector<float> block_moments(const std::vector<float> & rows, size_t count, size_t K, size_t begin, size_t width) {
    moments m(width);
    m.add(rows.data() + begin, count, K);
    std::vector<float> H(width * width, 0.0f);
    for (size_t i = 0; i < width; i++)
        std::copy_n(m.upper.data() + m.row_offset(i) + i, width - i, H.data() + i * width + i);
    return H;
}

} // namespace

result<error_feedback> feedback_of_weights(const std::vector<weight_rows> & weights, size_t K, const basis & in) {
    size_t count = 0;
    const std::vector<float> rows = sample(weights, K, in, count);
    std::vector<std::vector<float>> blocks((K + block_columns - 1) / block_columns);
    const auto width = [&](size_t i) { return std::min(block_columns, K - i * block_columns); };
    parallel_for(blocks.size(), 1,
                 [&](size_t i, size_t) { blocks[i] = block_moments(rows, count, K, i * block_columns, width(i)); });
    error_feedback f;
    for (size_t i = 0; i < blocks.size(); i++) {
        const status s = f.append(std::move(blocks[i]), width(i), damping);
        if (!s.ok()) return s;
    }
    return f;
}

} // namespace rknpu
