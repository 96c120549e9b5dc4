// Buffers of packed weights through ggml's own interface: bytes that come whole, in pieces, again, or are read back.
//
// Invariant: a weight is what was set last, whatever way its bytes came.
#include "ggml-host.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace rknpu {
namespace {

using test::ggml_host;
using test::twin;

TEST(buffer, weights_can_be_read_back_and_set_in_pieces) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
        test::tensors storage, plain;
        ggml_tensor * w = ggml_new_tensor_2d(storage.context(), type, 512, 70);
        ggml_tensor * p = ggml_new_tensor_2d(plain.context(), type, 512, 70);
        storage.allocate(ggml_host().packed);
        plain.allocate(ggml_backend_dev_buffer_type(ggml_host().cpu));
        test::set_values(p, test::normal_values(random, 512 * 70, 0.1f));
        std::vector<uint8_t> source(ggml_nbytes(p)), back(ggml_nbytes(p));
        ggml_backend_tensor_get(p, source.data(), 0, source.size());
        const size_t cut = 1000;
        ggml_backend_tensor_set(w, source.data(), 0, cut);
        ggml_backend_tensor_set(w, source.data() + cut, cut, source.size() - cut);
        ggml_backend_tensor_get(w, back.data(), 0, back.size());
        if (type == GGML_TYPE_F16) {
            EXPECT_EQ(back, source); // f16 holds it exactly
        }
        std::vector<float> a(512 * 70), b(512 * 70);
        const auto to_float = ggml_get_type_traits(type)->to_float;
        if (type == GGML_TYPE_F32) {
            std::copy_n(reinterpret_cast<const float *>(source.data()), a.size(), a.data());
            std::copy_n(reinterpret_cast<const float *>(back.data()), b.size(), b.data());
        } else {
            to_float(source.data(), a.data(), int64_t(a.size()));
            to_float(back.data(), b.data(), int64_t(b.size()));
        }
        EXPECT_LT(test::normalized_error(b, a), type == GGML_TYPE_Q8_0 ? 1e-4 : 1e-6);
    }
}

TEST(buffer, a_loaded_weight_can_be_changed_in_part_and_through_views) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    test::tensors storage(8);
    ggml_tensor * w = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F16, 64, 40);
    ggml_tensor * rows = ggml_view_2d(storage.context(), w, 64, 10, w->nb[1], 20 * w->nb[1]);
    storage.allocate(ggml_host().packed);
    test::set_values(w, test::normal_values(random, 64 * 40));
    std::vector<uint8_t> expected(ggml_nbytes(w)), part(ggml_nbytes(rows)), back(ggml_nbytes(w));
    ggml_backend_tensor_get(w, expected.data(), 0, expected.size());
    std::copy_n(expected.begin(), part.size(), part.begin()); // the first rows once more, as rows 20..29
    ggml_backend_tensor_set(rows, part.data(), 0, part.size());
    std::copy(part.begin(), part.end(), expected.begin() + long(20 * w->nb[1]));
    ggml_backend_tensor_get(w, back.data(), 0, back.size());
    EXPECT_EQ(back, expected);
    ggml_backend_tensor_memset(w, 0, 30 * w->nb[1], w->nb[1]);
    std::fill_n(expected.begin() + long(30 * w->nb[1]), w->nb[1], uint8_t(0));
    ggml_backend_tensor_get(w, back.data(), 0, back.size());
    EXPECT_EQ(back, expected);
    ggml_backend_tensor_get(rows, part.data(), 0, part.size());
    EXPECT_TRUE(std::equal(part.begin(), part.end(), expected.begin() + long(20 * w->nb[1])));
}

// Weights of a group wait for each other, one of them in the pages of a file that is mapped.
TEST(buffer, a_weight_that_waits_for_its_group_can_be_changed_in_part) {
    SCOPED_TRACE(test::seed_line());
    constexpr int64_t K = 64, N = 40;
    std::mt19937 random(test::seed());
    const std::vector<float> first = test::normal_values(random, K * N);
    const std::vector<float> other = test::normal_values(random, K * N), row = test::normal_values(random, K);
    const size_t bytes = first.size() * sizeof(float), row_bytes = row.size() * sizeof(float);
    const std::string path = testing::TempDir() + "rknpu-waiting-" + std::to_string(getpid());
    std::ofstream(path).write(reinterpret_cast<const char *>(first.data()), std::streamsize(bytes));
    const int fd = open(path.c_str(), O_RDONLY);
    void * mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::vector<float> expected = first;
    std::copy(row.begin(), row.end(), expected.begin() + 7 * K);
    for (const void * source : {static_cast<const void *>(mapped), static_cast<const void *>(first.data())}) {
        test::tensors storage;
        ggml_tensor * q = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F32, K, N);
        ggml_tensor * k = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F32, K, N);
        ggml_set_name(q, "blk.1.attn_q.weight");
        ggml_set_name(k, "blk.1.attn_k.weight");
        storage.allocate(ggml_host().packed);
        ggml_backend_tensor_set(q, source, 0, bytes);
        ggml_backend_tensor_set(q, row.data(), 7 * row_bytes, row_bytes);
        ggml_backend_tensor_set(k, other.data(), 0, bytes);
        std::vector<float> back(K * N);
        ggml_backend_tensor_get(q, back.data(), 0, bytes);
        EXPECT_LT(test::normalized_error(back, expected), 2e-3) << "w8a8";
    }
    munmap(mapped, bytes);
    close(fd);
    unlink(path.c_str());
}

// Bytes that the program holds. Nothing under sanitizers, which have an allocator of their own.
size_t bytes_held() {
    const auto all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

TEST(buffer, sources_that_waited_for_their_group_are_freed) {
    SCOPED_TRACE(test::seed_line());
    constexpr int64_t K = 512, N = 4096;
    std::mt19937 random(test::seed());
    const std::vector<float> values = test::normal_values(random, K * N);
    const size_t bytes = values.size() * sizeof(float);
    test::tensors storage;
    std::vector<ggml_tensor *> group;
    for (const char * name : {"blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight"}) {
        group.push_back(ggml_new_tensor_2d(storage.context(), GGML_TYPE_F32, K, N));
        ggml_set_name(group.back(), name);
    }
    storage.allocate(ggml_host().packed);
    const size_t before = bytes_held();
    for (ggml_tensor * w : {group[0], group[1]})
        ggml_backend_tensor_set(w, values.data(), 0, bytes);
#if !RKNPU_SANITIZED
    EXPECT_GE(bytes_held(), before + 2 * bytes) << "they wait";
#endif
    ggml_backend_tensor_set(group[2], values.data(), 0, bytes / 2);
    ggml_backend_tensor_set(group[2], values.data() + K * N / 2, bytes / 2, bytes / 2);
    EXPECT_LT(bytes_held(), before + bytes / 2) << "what is left are scales";
}

TEST(buffer, overlapping_pieces_are_counted_once) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    test::tensors storage, plain;
    ggml_tensor * w = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F16, 64, 40);
    ggml_tensor * p = ggml_new_tensor_2d(plain.context(), GGML_TYPE_F16, 64, 40);
    storage.allocate(ggml_host().packed);
    plain.allocate(ggml_backend_dev_buffer_type(ggml_host().cpu));
    test::set_values(p, test::normal_values(random, 64 * 40));
    std::vector<uint8_t> source(ggml_nbytes(p)), back(ggml_nbytes(p));
    ggml_backend_tensor_get(p, source.data(), 0, source.size());
    for (const auto & [begin, end] :
         std::vector<std::pair<size_t, size_t>>{{100, 3000}, {0, 2000}, {4000, 5120}, {50, 2500}, {2900, 4100}}) {
        ggml_backend_tensor_set(w, source.data() + begin, begin, end - begin);
    }
    ggml_backend_tensor_get(w, back.data(), 0, back.size());
    EXPECT_EQ(back, source);
}

TEST(buffer, a_reload_with_nan_moves_a_weight_to_the_cpu_and_streams_notice) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"w", GGML_TYPE_F16, {64, 64, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 64, 2));
            return ggml_mul_mat(c, w[0], inputs[0]);
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
    std::vector<float> bad(64 * 64, 1.0f);
    bad[100] = std::nanf("");
    test::set_values(t.npu_weight(0), bad);
    test::set_values(t.cpu_weight(0), bad);
    const auto npu = t.on_npu(), cpu = t.on_cpu();
    for (size_t i = 0; i < cpu.size(); i++)
        EXPECT_TRUE(std::isnan(cpu[i]) ? std::isnan(npu[i]) : std::fabs(npu[i] - cpu[i]) < 1e-3) << i;
}

} // namespace
} // namespace rknpu
