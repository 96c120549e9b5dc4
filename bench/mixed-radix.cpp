// A study: does one orthogonal transform of a mixed radix, such as 11 x 256, round better than a Hadamard transform in
// blocks of the largest power of two? See docs/measurements/rotation.md.
//
// For rows of K = m * 2^p, three bases: none, Hadamard in blocks of 2^p, and a random orthogonal m x m across the
// blocks on top of it. Printed: the error of products w . x, relative to their size, after both were rounded with one
// scale per row, as the NPU does. Seeds are fixed; the f64 reference is the product before rounding.
#include "numerics/balance.h"
#include "numerics/rotation.h"
#include "numerics/scale-search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

using namespace rknpu;

namespace {

using matrix = std::vector<std::vector<float>>;
constexpr size_t n_rows = 192; // of weights and of activations

struct shape {
    size_t K, block;
};
constexpr shape shapes[] = {{384, 128}, {704, 64}, {2816, 256}};

// Rows of a random orthogonal matrix: Gram-Schmidt on normal values.
matrix random_orthogonal(size_t m, std::mt19937 & random) {
    std::normal_distribution<float> normal;
    matrix q(m, std::vector<float>(m));
    for (size_t i = 0; i < m; i++) {
        for (float & v : q[i])
            v = normal(random);
        for (size_t j = 0; j <= i; j++) {
            double dot = 0;
            for (size_t k = 0; k < m; k++)
                dot += double(q[i][k]) * double(q[j][k]);
            for (size_t k = 0; k < m; k++)
                q[i][k] = j < i ? q[i][k] - float(dot) * q[j][k] : q[i][k] / float(std::sqrt(dot));
        }
    }
    return q;
}

// Element j of every block takes part in one small transform.
void across_blocks(const matrix & q, float * row, size_t block) {
    const size_t m = q.size();
    std::vector<float> column(m);
    for (size_t j = 0; j < block; j++) {
        for (size_t b = 0; b < m; b++)
            column[b] = row[b * block + j];
        for (size_t b = 0; b < m; b++) {
            float sum = 0;
            for (size_t c = 0; c < m; c++)
                sum += q[b][c] * column[c];
            row[b * block + j] = sum;
        }
    }
}

// Normal values; n_outliers channels of the activation are `size` times larger.
matrix normal_rows(size_t K, size_t n_outliers, float size, std::mt19937 & random) {
    std::normal_distribution<float> normal;
    std::vector<float> factor(K, 1.0f);
    for (size_t i = 0; i < n_outliers; i++)
        factor[random() % K] = size;
    matrix rows(n_rows, std::vector<float>(K));
    for (auto & row : rows) {
        for (size_t k = 0; k < K; k++)
            row[k] = factor[k] * normal(random);
    }
    return rows;
}

// Heavy tails in single values, as behind a gate (ffn_down's activation): products of two normal values.
matrix gated_rows(size_t K, std::mt19937 & random) {
    matrix rows = normal_rows(K, 0, 1, random);
    const matrix gates = normal_rows(K, 0, 1, random);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t k = 0; k < K; k++)
            rows[r][k] *= gates[r][k];
    }
    return rows;
}

// As GGML_RKNPU_STATS has it: factors from both sides' sizes, before anything else.
void balance(matrix & w, matrix & x, size_t K) {
    std::vector<float> squares(K, 0.0f);
    for (const auto & row : x) {
        for (size_t k = 0; k < K; k++)
            squares[k] += row[k] * row[k] / float(n_rows);
    }
    const row_source rows = [&](size_t n, float * row) { std::copy(w[n].begin(), w[n].end(), row); };
    const std::vector<float> v = balance_columns({{rows, n_rows}}, K, squares);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t k = 0; k < K; k++) {
            w[r][k] /= v[k];
            x[r][k] *= v[k];
        }
    }
}

void round_rows(matrix & rows, scale_method method, int limit) {
    for (auto & row : rows) {
        const row_scale s = search_scale(method, row.data(), nullptr, row.size(), limit);
        for (float & v : row)
            v = s.scale * std::clamp(std::nearbyint(v * s.inverse), -float(limit) - 1, float(limit));
    }
}

double dot(const std::vector<float> & a, const std::vector<float> & b) {
    double sum = 0;
    for (size_t k = 0; k < a.size(); k++)
        sum += double(a[k]) * double(b[k]);
    return sum;
}

// Root mean square of the products' error, in percent of the products'.
double product_error(const matrix & w, const matrix & x, const shape & s, const matrix * q, bool rotated,
                     int weight_limit, int activation_limit) {
    const rotation r = make_rotation(s.K, rotated ? s.block : 0, 1);
    matrix rounded_w = w, rounded_x = x;
    for (matrix * rows : {&rounded_w, &rounded_x}) {
        for (auto & row : *rows) {
            r.apply(row.data(), s.K);
            if (q) across_blocks(*q, row.data(), s.block);
        }
    }
    round_rows(rounded_w, scale_method::mse, weight_limit);
    round_rows(rounded_x, scale_method::absmax, activation_limit);
    double error = 0, size = 0;
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < n_rows; j++) {
            const double exact = dot(w[i], x[j]), got = dot(rounded_w[i], rounded_x[j]);
            error += (got - exact) * (got - exact);
            size += exact * exact;
        }
    }
    return 100 * std::sqrt(error / size);
}

void study(const char * what, const shape & s, const matrix & w, const matrix & x, std::mt19937 & random) {
    const matrix q = random_orthogonal(s.K / s.block, random);
    const struct {
        const char * name;
        int weight, activation;
    } formats[] = {{"w8a8", 127, 127}, {"w4a8", 7, 119}, {"w4a4", 7, 7}};
    for (const auto & f : formats) {
        const double none = product_error(w, x, s, nullptr, false, f.weight, f.activation);
        const double blocks = product_error(w, x, s, nullptr, true, f.weight, f.activation);
        const double mixed = product_error(w, x, s, &q, true, f.weight, f.activation);
        std::printf("| %zu = %zu x %zu | %s | %s | %.3f | %.3f | %.3f | %+.1f %% |\n", s.K, s.K / s.block, s.block,
                    what, f.name, none, blocks, mixed, 100 * (mixed / blocks - 1));
    }
}

} // namespace

int main() {
    std::puts(
        "| K | activation | format | none, % | blocks, % | mixed radix, % | change |\n|---|---|---|---|---|---|---|");
    for (const shape & s : shapes) {
        std::mt19937 random(1);
        matrix w = normal_rows(s.K, 0, 1, random);
        study("normal", s, w, normal_rows(s.K, 0, 1, random), random);
        study("gated", s, w, gated_rows(s.K, random), random);
        study("1 channel x 40", s, w, normal_rows(s.K, 1, 40, random), random);
        matrix x = normal_rows(s.K, s.K / 100, 40, random);
        study("1 % of channels x 40", s, w, x, random);
        balance(w, x, s.K);
        study("the same, balanced", s, w, x, random);
    }
}
