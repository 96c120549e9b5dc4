// See rows-on-cpu.h.
#include "matmul/rows-on-cpu.h"

#include "base/log.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace rknpu {

namespace {

// Unpacking a row of the weight costs more than a product with it, so it serves this many rows.
constexpr size_t rows_at_once = 32;

// No product of two f32 overflows f64, so only what is infinite becomes so.
float dot(const float * x, const float * w, size_t K) {
    double sum = 0;
    for (size_t k = 0; k < K; k++)
        sum += double(x[k]) * double(w[k]);
    return float(sum);
}

bool has_nan(const float * row, size_t K) {
    return std::any_of(row, row + K, [](float value) { return std::isnan(value); });
}

} // namespace

void note_not_finite(engine & npu, const matmul_plan & plan) {
    npu.count().rows_not_finite++;
    static std::once_flag once;
    std::call_once(once, [&] {
        log_warn("an input of %s holds a NaN or an infinity; such rows stay NaN or are multiplied by the CPU (slow), "
                 "and the summary counts them",
                 plan.group.c_str());
    });
}

void multiply_on_cpu(const packed_weight & weight, const activation_source & source, const std::vector<cpu_row> & rows,
                     float * output, size_t stride, int ith, int nth) {
    const size_t K = weight.plan().K, N = weight.plan().N;
    std::vector<float> x(std::min(rows_at_once, rows.size()) * K), w(K);
    std::vector<float *> targets; // of the rows in x
    for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
        const size_t matrix = rows[begin].matrix;
        targets.clear();
        for (; end < rows.size() && rows[end].matrix == matrix && targets.size() < rows_at_once; end++) {
            float * row = x.data() + targets.size() * K;
            source.read(rows[end].source, row);
            if (!has_nan(row, K)) targets.push_back(output + rows[end].target * stride);
        }
        if (targets.empty()) continue;
        for (size_t n = N * size_t(ith) / size_t(nth); n < N * size_t(ith + 1) / size_t(nth); n++) {
            weight.read_row(matrix * N + n, w.data());
            for (size_t i = 0; i < targets.size(); i++)
                targets[i][n] = dot(x.data() + i * K, w.data(), K);
        }
    }
}

} // namespace rknpu
