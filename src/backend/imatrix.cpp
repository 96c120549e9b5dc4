// See imatrix.h. For each weight the file holds <name>.in_sum2 [matrices, K], sums of squares, and <name>.counts
// [matrices, 1], the number of rows in each.
#include "backend/imatrix.h"

#include "base/log.h"

#include "ggml.h"
#include "gguf.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

namespace rknpu {

namespace {

struct release {
    void operator()(gguf_context * p) const { gguf_free(p); }
    void operator()(ggml_context * p) const { ggml_free(p); }
    void operator()(std::FILE * p) const { std::fclose(p); }
};

constexpr const char * cure = "; make it again with llama-imatrix -m model.gguf -f text.txt -o imatrix.gguf";

// gguf would log lines of its own about a file that is no GGUF.
status check_magic(const std::string & path) {
    const std::unique_ptr<std::FILE, release> file(std::fopen(path.c_str(), "rbe"));
    if (!file) return status(errc::not_found, "cannot open the imatrix " + path + ": " + std::strerror(errno));
    char magic[4];
    if (std::fread(magic, 1, 4, file.get()) != 4 || std::memcmp(magic, GGUF_MAGIC, 4) != 0)
        return status(errc::invalid_argument, path + " is no imatrix in GGUF" + cure);
    return status();
}

bool is_imatrix(const gguf_context * file) {
    const int64_t key = gguf_find_key(file, "general.type");
    return key >= 0 && gguf_get_kv_type(file, key) == GGUF_TYPE_STRING &&
           std::strcmp(gguf_get_val_str(file, key), "imatrix") == 0;
}

// Empty if the weight was never used. False if the two tensors are not what llama-imatrix writes.
bool mean_squares(const ggml_tensor * sums, const ggml_tensor * counts, std::vector<float> & mean) {
    if (!counts || sums->type != GGML_TYPE_F32 || counts->type != GGML_TYPE_F32 ||
        ggml_nrows(sums) != ggml_nelements(counts))
        return false;
    const float *sum = static_cast<const float *>(sums->data), *count = static_cast<const float *>(counts->data);
    const size_t K = size_t(sums->ne[0]), n_matrices = size_t(ggml_nelements(counts));
    double rows = 0;
    std::vector<double> total(K, 0.0);
    for (size_t i = 0; i < n_matrices; i++) {
        rows += double(count[i]);
        for (size_t k = 0; k < K; k++) {
            if (!(sum[i * K + k] >= 0)) return false;
            total[k] += double(sum[i * K + k]);
        }
    }
    mean.clear();
    for (size_t k = 0; k < K && rows != 0; k++) {
        mean.push_back(float(total[k] / rows));
        if (!std::isfinite(mean.back()) || mean.back() < 0) return false;
    }
    return true;
}

} // namespace

result<column_importance> read_imatrix(const std::string & path) {
    const status known = check_magic(path);
    if (!known.ok()) return known;
    ggml_context * tensors = nullptr;
    const std::unique_ptr<gguf_context, release> file(gguf_init_from_file(path.c_str(), {false, &tensors}));
    const std::unique_ptr<ggml_context, release> owner(tensors);
    if (!file) return status(errc::invalid_argument, path + " is damaged" + cure);
    if (!is_imatrix(file.get())) return status(errc::invalid_argument, path + " is no imatrix but another GGUF" + cure);
    column_importance found;
    const std::string suffix = ".in_sum2";
    for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); i++) {
        std::string name = gguf_get_tensor_name(file.get(), i);
        if (name.size() <= suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
            continue;
        const ggml_tensor * sums = ggml_get_tensor(tensors, name.c_str());
        name.resize(name.size() - suffix.size());
        std::vector<float> mean;
        if (!mean_squares(sums, ggml_get_tensor(tensors, (name + ".counts").c_str()), mean)) {
            return status(errc::invalid_argument,
                          format_text("%s is damaged at %s%s", path.c_str(), name.c_str(), cure));
        }
        if (!mean.empty()) found.emplace(std::move(name), std::move(mean));
    }
    return found;
}

} // namespace rknpu
