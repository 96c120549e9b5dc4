// See edge.h.
#include "backend/edge.h"

#include "ggml-impl.h"

namespace rknpu {

namespace {

void to_ggml(log_level level, const char * line) {
    const ggml_log_level levels[] = {GGML_LOG_LEVEL_DEBUG, GGML_LOG_LEVEL_INFO, GGML_LOG_LEVEL_WARN,
                                     GGML_LOG_LEVEL_ERROR};
    ggml_log_internal(levels[int(level)], "%s", line);
}

} // namespace

void log_to_ggml() {
    set_log_sink(to_ggml);
}

} // namespace rknpu
