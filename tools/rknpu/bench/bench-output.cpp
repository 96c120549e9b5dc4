// See bench-output.h.
#include "bench/bench-output.h"

#include <cctype>

namespace rknpu {

void bench_output::feed(std::string_view bytes, double now) {
    rest_.append(bytes);
    for (size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1))
        take(rest_.substr(0, end), now);
}

void bench_output::finish(double now) {
    if (!rest_.empty()) take(rest_, now);
    rest_.clear();
}

void bench_output::take(const std::string & line, double now) {
    if (!line.empty() && line[0] == '{') {
        const json test = json::parse(line, nullptr, false);
        if (test.is_object()) return take_test(test, now);
    }
    // "llama-bench: benchmark 1/2: prompt run 1/5"
    const size_t mark = line.rfind(" run ");
    if (line.find("benchmark ") != std::string::npos && line.find(": ") != std::string::npos) {
        doing_ = line.substr(line.rfind(": ") + 2);
        if (mark != std::string::npos && doing_.rfind("depth", 0) != 0 && began_ < 0) began_ = now;
        return;
    }
    if (error_.empty() && line.find("error") != std::string::npos) error_ = line;
    if (error_.empty() && line.find("failed to ") != std::string::npos) error_ = line;
}

void bench_output::take_test(const json & line, double now) {
    bench_test t;
    t.n_prompt = line.value("n_prompt", 0);
    t.n_gen = line.value("n_gen", 0);
    t.n_depth = line.value("n_depth", 0);
    t.tokens_s = line.value("avg_ts", 0.0);
    t.tokens_s_stddev = line.value("stddev_ts", 0.0);
    for (const json & ns : line.value("samples_ns", json::array())) {
        t.repetitions++;
        t.seconds += ns.is_number() ? ns.get<double>() * 1e-9 : 0;
    }
    t.when = {began_ < 0 ? now - t.seconds : began_, now};
    t.line = line;
    began_ = -1;
    tests_.push_back(std::move(t));
}

} // namespace rknpu
