// Moments: sums and transforms against plain loops in f64, and what a file gives back or refuses.
#include "numerics/moments.h"
#include "numerics/stats-file.h"

#include "base/parallel.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <unistd.h>

namespace rknpu {
namespace {

class moments_of : public testing::Test {
protected:
    std::mt19937 random{test::seed()};
    testing::ScopedTrace seed{__FILE__, __LINE__, test::seed_line()};
};

void expect_sum(const moments & m, const std::vector<float> & x, size_t M, size_t stride, uint64_t rows) {
    EXPECT_EQ(m.rows, rows);
    size_t next = 0;
    for (size_t i = 0; i < m.K; i++) {
        for (size_t j = i; j < m.K; j++, next++) {
            ASSERT_EQ(next, m.row_offset(i) + j);
            double sum = 0, size = 0;
            for (size_t k = 0; k < M; k++) {
                const double product = double(x[k * stride + i]) * x[k * stride + j];
                if (!std::isfinite(product)) continue; // the test fills such rows altogether
                sum += product;
                size += std::fabs(product);
            }
            ASSERT_NEAR(m.upper[next], sum, size * double(M + 2) * 0x1p-24) << i << " " << j;
        }
    }
}

TEST_F(moments_of, rows_are_summed) {
    for (const size_t K : {1, 7, 8, 100, 256, 257, 600}) {
        for (const size_t M : {1, 5, 200}) {
            SCOPED_TRACE("K " + std::to_string(K) + " M " + std::to_string(M));
            const size_t stride = K + 3;
            const std::vector<float> x = test::normal_values(random, M * stride);
            moments m(K);
            m.add(x.data(), M, stride);
            expect_sum(m, x, M, stride, M);
        }
    }
}

TEST_F(moments_of, rows_that_are_not_finite_are_left_out) {
    const size_t K = 40, M = 300;
    std::vector<float> x = test::normal_values(random, M * K);
    for (const size_t bad : {0, 1, 77, 150, 299})
        std::fill_n(&x[bad * K], K, bad % 2 ? std::numeric_limits<float>::quiet_NaN() : INFINITY);
    moments m(K);
    m.add(x.data(), M, K);
    expect_sum(m, x, M, K, M - 5);
}

TEST_F(moments_of, threads_share_the_work) {
    const size_t K = 1100, M = 140, parts = 3;
    const std::vector<float> x = test::normal_values(random, M * K);
    moments whole(K), shared(K);
    whole.add(x.data(), M, K);
    parallel_for(parts, 1, [&](size_t part, size_t) { shared.add(x.data(), M, K, part, parts); });
    EXPECT_EQ(shared.upper, whole.upper);
    EXPECT_EQ(shared.rows, M);
}

TEST_F(moments_of, sums_stay_exact_over_many_rows) {
    const size_t K = 8, M = 1000;
    const std::vector<float> x = test::normal_values(random, M * K);
    moments m(K);
    for (int i = 0; i < 100; i++)
        m.add(x.data(), M, K);
    EXPECT_EQ(m.rows, 100 * M);
    for (size_t k = 0; k < K; k++) {
        double sum = 0;
        for (size_t row = 0; row < M; row++)
            sum += double(x[row * K + k]) * x[row * K + k];
        EXPECT_NEAR(m.mean_squares()[k], sum / M, 1e-5 * sum / M);
    }
}

TEST_F(moments_of, merging_adds) {
    const size_t K = 30, M = 64;
    const std::vector<float> x = test::normal_values(random, M * K);
    moments a(K), b(K);
    a.add(x.data(), 20, K);
    b.add(&x[20 * K], M - 20, K);
    a.merge(b);
    expect_sum(a, x, M, K, M);
}

TEST_F(moments_of, a_transform_is_that_of_the_rows) {
    for (const auto & [K, block] : {std::pair<size_t, size_t>{96, 32}, {352, 32}, {40, 8}, {33, 0}}) {
        SCOPED_TRACE("K " + std::to_string(K));
        const size_t M = 50;
        std::vector<float> x = test::normal_values(random, M * K), balance = test::normal_values(random, K);
        moments before(K);
        before.add(x.data(), M, K);
        const rotation r = make_rotation(K, block, 5);
        const auto plain = transform_moments(before, nullptr, rotation()),
                   changed = transform_moments(before, balance.data(), r);
        for (size_t m = 0; m < M; m++) {
            for (size_t k = 0; k < K; k++)
                x[m * K + k] *= balance[k];
            r.apply(&x[m * K], K);
        }
        moments after(K);
        after.add(x.data(), M, K);
        for (size_t i = 0; i < K; i++) {
            for (size_t j = 0; j < K; j++) {
                const size_t place = before.row_offset(std::min(i, j)) + std::max(i, j);
                ASSERT_EQ(plain[i * K + j], before.upper[place]);
                ASSERT_NEAR(changed[i * K + j], after.upper[place], 1e-3 * M) << i << " " << j;
            }
        }
    }
}

class statistics : public moments_of {
protected:
    const std::string path =
        (std::filesystem::temp_directory_path() / ("rknpu-stats-" + std::to_string(getpid()))).string();
    ~statistics() override { std::filesystem::remove(path); }

    moments random_moments(size_t K) {
        moments m(K);
        m.add(test::normal_values(random, 9 * K).data(), 9, K);
        return m;
    }
    // A file with entries a (K = 20) and b (K = 300), made in two passes.
    void write(const moments & a, const moments & b) {
        {
            auto first = stats_writer::create(path, "a model");
            ASSERT_TRUE(first.ok());
            ASSERT_TRUE(first.value().add("a", a).ok());
            ASSERT_TRUE(first.value().finish().ok());
        }
        auto second = stats_writer::create(path, "a model, again");
        ASSERT_TRUE(second.value().keep(stats_file::open(path).value()).ok());
        ASSERT_TRUE(second.value().add("b", b).ok());
        ASSERT_TRUE(second.value().finish().ok());
    }
    std::string bytes() {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void replace(const std::string & content) { std::ofstream(path, std::ios::binary) << content; }
    void expect_refused(errc code, const std::string & line) {
        const auto f = stats_file::open(path);
        ASSERT_FALSE(f.ok());
        EXPECT_EQ(f.status().code(), code);
        EXPECT_EQ(f.status().message(), line);
    }
};

TEST_F(statistics, what_is_written_in_passes_is_read_back) {
    const moments a = random_moments(20), b = random_moments(300);
    write(a, b);
    const auto f = stats_file::open(path);
    ASSERT_TRUE(f.ok());
    EXPECT_EQ(f.value().description(), "a model, again");
    ASSERT_EQ(f.value().entries().size(), 2u);
    EXPECT_EQ(f.value().entries()[1].name, "b");
    EXPECT_EQ(f.value().entries()[1].rows, 9u);
    const auto read_b = f.value().read("b", 300), read_a = f.value().read("a", 20);
    ASSERT_TRUE(read_a.ok() && read_b.ok());
    EXPECT_EQ(read_a.value().upper, a.upper);
    EXPECT_EQ(read_b.value().upper, b.upper);
    EXPECT_EQ(read_b.value().rows, 9u);
}

TEST_F(statistics, a_model_that_does_not_fit_is_told_so) {
    write(random_moments(20), random_moments(300));
    const auto f = stats_file::open(path);
    const auto missing = f.value().read("c", 20), other = f.value().read("a", 21);
    ASSERT_FALSE(missing.ok() || other.ok());
    EXPECT_EQ(missing.status().code(), errc::not_found);
    EXPECT_EQ(missing.status().message(), path + " has no statistics of c; run rknpu calibrate again with this model");
    EXPECT_EQ(other.status().code(), errc::incompatible);
    EXPECT_EQ(other.status().message(), path + " was made with another model: a has 20 columns there, 21 here; run "
                                               "rknpu calibrate again with this model");
}

TEST_F(statistics, a_missing_or_foreign_file_is_refused) {
    expect_refused(errc::not_found, "cannot open the statistics " + path +
                                        ": No such file or directory; rknpu calibrate makes such a file");
    for (const char * content : {"", "rknp", "GGUF and more than eight bytes"}) {
        replace(content);
        expect_refused(errc::invalid_argument, path + " holds no statistics of rknpu; make them with rknpu calibrate");
    }
}

TEST_F(statistics, another_version_is_refused) {
    write(random_moments(20), random_moments(300));
    std::string content = bytes();
    content[8] = 2;
    replace(content);
    expect_refused(errc::incompatible,
                   path + " has version 2 of the format, this program reads version 1; run rknpu calibrate again");
}

TEST_F(statistics, a_file_that_ends_early_is_refused_wherever_it_ends) {
    write(random_moments(3), random_moments(4));
    const std::string content = bytes();
    for (size_t size = 8; size < content.size(); size++) {
        replace(content.substr(0, size));
        expect_refused(errc::invalid_argument, path + " ends early or is damaged; run rknpu calibrate again");
    }
}

TEST_F(statistics, no_flipped_bit_goes_unnoticed) {
    const moments a = random_moments(3), b = random_moments(4);
    write(a, b);
    const std::string content = bytes();
    const size_t description = 8 + 3 * 4, entries = description + std::string("a model, again").size();
    for (size_t bit = 0; bit < 8 * content.size(); bit++) {
        if (bit / 8 >= description && bit / 8 < entries) continue; // for people only
        std::string changed = content;
        changed[bit / 8] = char(changed[bit / 8] ^ (1 << bit % 8));
        replace(changed);
        const auto f = stats_file::open(path);
        if (!f.ok()) continue;
        const auto read_a = f.value().read("a", 3), read_b = f.value().read("b", 4);
        EXPECT_FALSE(read_a.ok() && read_b.ok()) << "bit " << bit;
        for (const auto * read : {&read_a, &read_b}) {
            if (read->ok()) continue;
            EXPECT_NE(read->status().message().find("; run rknpu calibrate again"), std::string::npos);
        }
    }
    std::string changed = content;
    changed.back() = char(changed.back() ^ 1);
    replace(changed);
    EXPECT_EQ(stats_file::open(path).value().read("b", 4).status().message(),
              path + " is damaged: the statistics of b are not what was written; run rknpu calibrate again");
}

TEST_F(statistics, an_unfinished_file_leaves_nothing_and_the_old_one_alone) {
    const auto files_like_it = [&] {
        size_t count = 0;
        for (const auto & entry : std::filesystem::directory_iterator(std::filesystem::temp_directory_path()))
            count += entry.path().string().rfind(path, 0) == 0;
        return count;
    };
    write(random_moments(20), random_moments(300));
    const std::string before = bytes();
    {
        auto w = stats_writer::create(path, "broken off");
        ASSERT_TRUE(w.value().add("c", random_moments(5)).ok());
        EXPECT_EQ(files_like_it(), 2u);
    }
    EXPECT_EQ(files_like_it(), 1u);
    EXPECT_EQ(bytes(), before);
}

TEST_F(statistics, a_place_that_cannot_be_written_is_named) {
    const std::string nowhere = path + "/no/such/folder";
    const auto w = stats_writer::create(nowhere, "");
    ASSERT_FALSE(w.ok());
    EXPECT_EQ(w.status().message(),
              "cannot write the statistics " + nowhere + ": No such file or directory; choose another place with -o");
}

} // namespace
} // namespace rknpu
