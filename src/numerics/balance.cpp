// See balance.h.
#include "numerics/balance.h"

#include "base/parallel.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace rknpu {

namespace {

// Row after row is made equally large, in the balance so far, before its columns are summed: so no row speaks louder
// than another, whatever its scale.
std::vector<double> column_squares(const std::vector<weight_rows> & weights, size_t K, const std::vector<float> & v) {
    std::vector<double> total(K, 0.0);
    std::mutex mutex;
    for (const weight_rows & w : weights) {
        parallel_for(w.N, 64, [&](size_t begin, size_t end) {
            std::vector<float> row(K), sum(K, 0.0f);
            for (size_t n = begin; n < end; n++) {
                w.rows(n, row.data());
                float size = 0;
                for (size_t k = 0; k < K; k++)
                    size += row[k] / v[k] * (row[k] / v[k]);
                if (!std::isfinite(size) || !(size > 0)) continue;
                const float weight = float(K) / size;
                for (size_t k = 0; k < K; k++)
                    sum[k] += weight * row[k] * row[k];
            }
            std::lock_guard<std::mutex> lock(mutex);
            for (size_t k = 0; k < K; k++)
                total[k] += double(sum[k]);
        });
    }
    return total;
}

void normalize(std::vector<float> & v) {
    double logs = 0;
    for (const float f : v)
        logs += std::log(double(f));
    const double mean = std::exp(logs / double(v.size()));
    for (float & f : v)
        f = float(double(f) / mean);
}

} // namespace

std::vector<float> balance_columns(const std::vector<weight_rows> & weights, size_t K,
                                   const std::vector<float> & mean_squares) {
    constexpr int rounds = 2; // rows and columns in turn; the second sees rows without their outlier channels
    // No channel gets more than this, so that no factor takes the range of the scales away.
    constexpr double most = 4096;
    // Without data only channels that stand out this far are taken for outlier channels. The rest of the spread says
    // nothing about the activation: following it (from 2 on) raised the divergence of w4a8 on the dense bundled model
    // from 0.0125 to 0.0170; with 3 or 4 it is 0.0125 with and without outliers (measured here, emulated, 16 chunks).
    constexpr double ordinary = 4;
    std::vector<float> v(K, 1.0f);
    for (int round = 0; round < rounds; round++) {
        const std::vector<double> w = column_squares(weights, K, v);
        for (size_t k = 0; k < K; k++) {
            const double rms = std::sqrt(w[k]);
            const double x = mean_squares.empty() ? 0.0 : std::sqrt(double(mean_squares[k]));
            double factor = mean_squares.empty() ? rms : x > 0 ? std::sqrt(rms / x) : 0.0;
            if (!(rms > 0) || !std::isfinite(factor)) factor = 0; // set below
            v[k] = float(factor);
        }
        std::vector<float> known;
        for (const float f : v) {
            if (f > 0) known.push_back(f);
        }
        if (known.empty()) return {};
        std::nth_element(known.begin(), known.begin() + ptrdiff_t(known.size() / 2), known.end());
        const double middle = known[known.size() / 2];
        for (float & f : v) {
            double factor = f > 0 ? std::clamp(double(f) / middle, 1 / most, most) : 1.0;
            if (mean_squares.empty() && std::fabs(std::log(factor)) < std::log(ordinary)) factor = 1;
            f = float(factor);
        }
    }
    if (std::all_of(v.begin(), v.end(), [&](float f) { return f == v.front(); })) return {};
    normalize(v);
    return v;
}

} // namespace rknpu
