// See perplexity-run.h.
#include "perplexity-run.h"

#include "base/log.h"
#include "child.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace rknpu {

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool any_contains(const std::vector<std::string> & lines, const char * words) {
    for (const auto & line : lines)
        if (line.find(words) != std::string::npos) return true;
    return false;
}

bool is_complete(const perplexity_call & call, const perplexity_output & output) {
    return call.what == wanted::final_ppl ? output.has_final_ppl() : output.has_all_statistics();
}

// What a run that has not said all it should have died of. ok: nothing is known to be wrong.
status failure(const perplexity_call & call, const child_end & end, const perplexity_output & output) {
    const std::string log = "its log: " + call.log_path;
    if (output.tokens_needed() > 0)
        return status(errc::invalid_argument,
                      format_text("text: '%s' is too short: it has %d tokens and %d are needed (twice --ctx); give a "
                                  "longer text or a smaller --ctx",
                                  call.text.c_str(), output.tokens_there(), output.tokens_needed()));
    if (any_contains(output.error_lines(), "inconsistent vocabulary"))
        return status(errc::invalid_argument,
                      "reference: '" + call.model +
                          "' has another vocabulary than the reference; give --reference a file "
                          "of the same model");
    if (any_contains(output.error_lines(), "invalid device"))
        return status(errc::incompatible,
                      call.label +
                          ": llama.cpp does not list the device RKNPU0; the plugin must be built for this "
                          "llama.cpp (" +
                          call.program + "); " + log);
    if (end.signal != 0)
        return status(errc::device_failed, call.label + ": llama-perplexity was ended by signal " +
                                               std::to_string(end.signal) + " (" + strsignal(end.signal) +
                                               (end.signal == 9 ? "; out of memory?" : "") + "); " + log);
    if (end.exit_code != 0)
        return status(errc::device_failed,
                      format_text("%s: llama-perplexity failed with exit code %d: %s%s", call.label.c_str(),
                                  end.exit_code, output.cause().c_str(), log.c_str()));
    if (!is_complete(call, output) && !output.error_lines().empty())
        return status(errc::device_failed, call.label + ": " + output.cause() + log);
    return {};
}

} // namespace

progress_line::progress_line(std::string label)
    : label_(std::move(label)), terminal_(isatty(STDERR_FILENO)), started_(now()) {
    std::fprintf(stderr, terminal_ ? "\r\033[K%s: loading" : "%s: loading\n", label_.c_str());
}

progress_line::~progress_line() {
    if (terminal_) std::fputs("\r\033[K", stderr);
}

double progress_line::seconds() const {
    return now() - started_;
}

void progress_line::update(const perplexity_output & output) {
    const int done = output.done(), chunks = output.chunks();
    if (done <= shown_done_ || chunks <= 0) return;
    if (!terminal_ && shown_ && done < chunks && (done - shown_done_) * 10 < chunks) return;
    std::string text = format_text("%s: %d of %d chunks, PPL %.3f", label_.c_str(), done, chunks, output.running_ppl());
    if (!std::isnan(output.running_kld())) text += format_text(", KLD %.5f", output.running_kld());
    if (done < chunks) text += format_text(", about %.0f s left", seconds() * (chunks - done) / done);
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
    shown_ = true;
    shown_done_ = done;
}

result<perplexity_result> run_perplexity(const perplexity_call & call) {
    // Without the exit gate (a program that ignores LD_PRELOAD) the end of the output may still be lost.
    constexpr int attempts = 3;
    for (int attempt = 1; attempt <= attempts; attempt++) {
        perplexity_result done;
        progress_line progress(call.label + (attempt > 1 ? format_text(" (attempt %d)", attempt) : ""));
        child_call child{{call.program}, call.environment, call.log_path, call.exit_gate, {}, {}};
        child.argv.insert(child.argv.end(), call.arguments.begin(), call.arguments.end());
        child.on_output = [&](std::string_view bytes) {
            done.output.feed(bytes);
            progress.update(done.output);
        };
        child.has_said_all = [&] { return is_complete(call, done.output); };
        const auto end = run_child(child);
        if (!end.ok()) return end.status();
        if (interrupted()) return interruption();
        const status why = failure(call, end.value(), done.output);
        if (!why.ok()) {
            if (why.message().find(call.log_path) == std::string::npos) unlink(call.log_path.c_str()); // it has no more
            return why;
        }
        done.seconds = progress.seconds();
        if (is_complete(call, done.output)) return done;
    }
    return status(errc::device_failed,
                  call.label + ": llama-perplexity did not print its statistics; its log: " + call.log_path);
}

} // namespace rknpu
