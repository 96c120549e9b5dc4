// The reader of importance matrices: files as llama-imatrix writes them, and what is refused.
#include "backend/imatrix.h"

#include "ggml.h"
#include "gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <unistd.h>

namespace rknpu {
namespace {

class imatrix : public testing::Test {
protected:
    const std::string path =
        (std::filesystem::temp_directory_path() / ("rknpu-imatrix-" + std::to_string(getpid()))).string();
    const std::string cure = "; make it again with llama-imatrix -m model.gguf -f text.txt -o imatrix.gguf";
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> tensors{ggml_init({1 << 20, nullptr, false}), ggml_free};
    std::unique_ptr<gguf_context, void (*)(gguf_context *)> file{gguf_init_empty(), gguf_free};

    ~imatrix() override { std::filesystem::remove(path); }
    void add(const std::string & name, int64_t columns, const std::vector<float> & values) {
        ggml_tensor * t = ggml_new_tensor_2d(tensors.get(), GGML_TYPE_F32, columns, int64_t(values.size()) / columns);
        ggml_set_name(t, name.c_str());
        std::memcpy(t->data, values.data(), ggml_nbytes(t));
        gguf_add_tensor(file.get(), t);
    }
    void write(const char * type = "imatrix") {
        if (type) gguf_set_val_str(file.get(), "general.type", type);
        ASSERT_TRUE(gguf_write_to_file(file.get(), path.c_str(), false));
    }
    void expect_refused(errc code, const std::string & line) {
        const auto read = read_imatrix(path);
        ASSERT_FALSE(read.ok());
        EXPECT_EQ(read.status().code(), code);
        EXPECT_EQ(read.status().message(), line);
    }
};

TEST_F(imatrix, sums_become_means) {
    add("blk.0.attn_q.weight.in_sum2", 3, {8, 0, 2});
    add("blk.0.attn_q.weight.counts", 1, {4});
    add("blk.0.ffn_up_exps.weight.in_sum2", 2, {6, 1, 0, 0, 2, 7}); // three experts, one unused
    add("blk.0.ffn_up_exps.weight.counts", 1, {3, 0, 5});
    add("never.weight.in_sum2", 2, {0, 0});
    add("never.weight.counts", 1, {0});
    write();
    const auto read = read_imatrix(path);
    ASSERT_TRUE(read.ok()) << read.status().message();
    const column_importance expected = {{"blk.0.attn_q.weight", {2, 0, 0.5f}}, {"blk.0.ffn_up_exps.weight", {1, 1}}};
    EXPECT_EQ(read.value(), expected);
}

TEST_F(imatrix, another_kind_of_file_is_refused) {
    expect_refused(errc::not_found, "cannot open the imatrix " + path + ": No such file or directory");
    std::ofstream(path) << "imatrix.dat of old";
    expect_refused(errc::invalid_argument, path + " is no imatrix in GGUF" + cure);
    write("model");
    expect_refused(errc::invalid_argument, path + " is no imatrix but another GGUF" + cure);
}

TEST_F(imatrix, a_damaged_file_is_refused) {
    add("w.in_sum2", 2, {1, 2});
    add("w.counts", 1, {4});
    write();
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 40);
    expect_refused(errc::invalid_argument, path + " is damaged" + cure);
}

TEST_F(imatrix, values_that_are_no_sums_of_squares_are_refused) {
    for (const auto & [sums, counts] : {std::pair<std::vector<float>, std::vector<float>>{{1, -1}, {4}},
                                        {{1, NAN}, {4}},
                                        {{1, INFINITY}, {4}},
                                        {{1, 2}, {-4}},
                                        {{1, 2}, {NAN}},
                                        {{1, 2}, {4, 4}},
                                        {{1, 2}, {}}}) {
        file.reset(gguf_init_empty());
        add("w.in_sum2", 2, sums);
        if (!counts.empty()) add("w.counts", 1, counts);
        write();
        expect_refused(errc::invalid_argument, path + " is damaged at w" + cure);
    }
}

} // namespace
} // namespace rknpu
