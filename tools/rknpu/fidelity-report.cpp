// The table and report.json of rknpu fidelity.
//
// Invariant: the only figures computed here are quotients of two printed mean KLDs.
#include "fidelity.h"

#include "base/log.h"

namespace rknpu {

namespace {

constexpr int label_width = 28;

std::string figure(const char * format, double value) {
    return std::isfinite(value) ? format_text(format, value) : "-";
}

std::string column(int width, const std::string & text) {
    return format_text("  %*s", width, text.c_str());
}

std::string label_column(const std::string & label) {
    return format_text("%-*s", label_width, label.c_str());
}

} // namespace

std::vector<const fidelity_run *> cpu_runs(const fidelity_report & report) {
    std::vector<const fidelity_run *> found;
    for (const auto & run : report.runs)
        if (run.kind != run_kind::npu) found.push_back(&run);
    return found;
}

double multiple_of(const fidelity_run & run, const fidelity_run & cpu) {
    const double a = run.statistics.mean_kld, b = cpu.statistics.mean_kld;
    return std::isfinite(a) && std::isfinite(b) && b > 0 ? a / b : NAN;
}

std::string table_header(const fidelity_report & report) {
    std::string line = label_column("run") + column(10, "PPL") + column(9, "+/-") + column(10, "mean KLD") +
                       column(9, "+/-") + column(9, "99% KLD") + column(10, "same top %");
    for (const fidelity_run * cpu : cpu_runs(report))
        line += "  x " + cpu->label;
    return line;
}

std::string table_row(const fidelity_report & report, const fidelity_run & run) {
    const perplexity_statistics & s = run.statistics;
    std::string line = label_column(run.label) + column(10, figure("%.4f", s.ppl)) +
                       column(9, figure("%.4f", s.ppl_uncertainty)) + column(10, figure("%.6f", s.mean_kld)) +
                       column(9, figure("%.6f", s.mean_kld_uncertainty)) + column(9, figure("%.6f", s.kld_99)) +
                       column(10, figure("%.3f", s.same_top));
    if (run.kind == run_kind::reference) return line + "  (reference)";
    for (const fidelity_run * cpu : cpu_runs(report))
        line += column(int(cpu->label.size()) + 2, figure("%.3f", multiple_of(run, *cpu)));
    return line;
}

json report_json(const fidelity_report & report) {
    const fidelity_wishes & wishes = report.wishes;
    const auto describe = [&](const fidelity_run & run) {
        json one = {{"label", run.label}, {"kind", kind_name(run.kind)}, {"what", run.what}};
        one.update(to_json(run.statistics));
        if (run.kind != run_kind::reference) {
            json multiples = json::object();
            for (const fidelity_run * cpu : cpu_runs(report)) {
                const double multiple = multiple_of(run, *cpu);
                multiples[cpu->label] = std::isfinite(multiple) ? json(multiple) : json();
            }
            one["kld_as_multiple_of"] = multiples;
        }
        if (run.kind == run_kind::npu) {
            one["device"] = run.device;
            one["emulated"] = run.emulated;
            one["tensors"] = run.tensors;
            one["notes"] = run.notes;
        }
        one["seconds"] = run.seconds;
        return one;
    };
    json all = {{"tool", "rknpu fidelity"},
                {"version", RKNPU_VERSION},
                {"method", "stock llama-perplexity --kl-divergence against the reference on the CPU"},
                {"model", wishes.model},
                {"text", wishes.text},
                {"stats", wishes.stats.empty() ? json() : json(wishes.stats)},
                {"context", wishes.context},
                {"chunks", report.reference.chunks},
                {"emulated", report.emulated()},
                {"reference", describe(report.reference)},
                {"runs", json::array()}};
    for (const auto & run : report.runs)
        all["runs"].push_back(describe(run));
    return all;
}

} // namespace rknpu
