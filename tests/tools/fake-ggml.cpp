// A libggml that loads no plugin but answers as FAKE_GGML_ANSWER says, for the doctor's test.
#include <cstddef>
#include <cstdlib>
#include <cstring>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

void (*log_line)(int, const char *, void *) = nullptr;

bool answers(const char * what) {
    const char * wanted = std::getenv("FAKE_GGML_ANSWER");
    return wanted && std::strcmp(wanted, what) == 0;
}

} // namespace

EXPORTED void ggml_log_set(void (*callback)(int, const char *, void *), void *) {
    log_line = callback;
}
EXPORTED const char * ggml_version() {
    return "0.99.7";
}
EXPORTED size_t ggml_backend_reg_count() {
    return answers("linked-in") ? 1 : 0;
}
EXPORTED void * ggml_backend_load(const char *) {
    static int registered;
    if (answers("crash")) std::abort();
    if (!answers("other-version")) return &registered;
    log_line(4,
             "load_backend: failed to initialize backend from x: incompatible API version (backend: 2, current: 6)\n",
             nullptr);
    return nullptr;
}
