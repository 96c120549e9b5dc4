// rknpu bench's report: as a table, as Markdown for an issue, as JSON.
//
// Invariant: every figure stands under what it is (measured, EMULATED, modelled); a column that nobody could fill is
// not there.
#include "bench/bench.h"

#include "base/log.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace rknpu {

namespace {

struct column {
    std::string title;
    std::vector<std::string> cells; // one for each phase
};
using columns = std::vector<column>;

std::string number(const std::optional<double> & value, int digits) {
    return value ? format_text("%.*f", digits, *value) : "";
}

// Three digits that count, without an exponent.
std::string three_digits(const std::optional<double> & value) {
    if (!value || *value == 0) return number(value, 0);
    const int before = int(std::floor(std::log10(std::fabs(*value)))) + 1;
    return number(value, std::clamp(3 - before, 0, 9));
}

std::string mhz(const clock_range & c) {
    const double low = c.smallest / 1e6, high = c.largest / 1e6;
    std::string text = low == high ? format_text("%.0f", low) : format_text("%.0f-%.0f", low, high);
    if (c.throttled) text += " throttled";
    return text;
}

// "NPU MHz" of "fdab0000.npu".
std::string clock_title(const std::string & name) {
    if (name == "dmc") return "DDR MHz";
    const std::string cpu = "cpufreq ";
    return name.rfind(cpu, 0) == 0 ? name.substr(cpu.size()) + " MHz" : "NPU MHz";
}

template <class F> void add(columns & all, const bench_report & r, const std::string & title, F cell) {
    column c{title, {}};
    for (const bench_phase & phase : r.phases)
        c.cells.push_back(cell(phase));
    if (std::any_of(c.cells.begin(), c.cells.end(), [](const std::string & text) { return !text.empty(); }))
        all.push_back(c);
}

void add_clocks(columns & all, const bench_report & r) {
    std::vector<std::string> names;
    for (const bench_phase & phase : r.phases)
        for (const clock_range & c : phase.state.clocks)
            if (std::find(names.begin(), names.end(), c.name) == names.end()) names.push_back(c.name);
    for (const std::string & name : names) {
        add(all, r, clock_title(name), [&](const bench_phase & p) {
            for (const clock_range & c : p.state.clocks)
                if (c.name == name) return mhz(c);
            return std::string();
        });
    }
}

columns measured_columns(const bench_report & r) {
    columns all;
    using phase = const bench_phase &;
    add(all, r, "tokens/s", [](phase p) { return number(p.test.tokens_s, 2); });
    add(all, r, "+/-", [](phase p) { return number(p.test.tokens_s_stddev, 2); });
    add(all, r, "modelled", [](phase p) { return number(p.modelled_tokens_s, 2); });
    add(all, r, "W", [](phase p) { return number(p.watts, 2); });
    add(all, r, "W over idle", [](phase p) { return number(p.watts_over_idle, 2); });
    add(all, r, "J/token", [](phase p) { return three_digits(p.joules()); });
    add(all, r, "J/token over idle", [](phase p) { return three_digits(p.joules_over_idle()); });
    add(all, r, "NPU load %", [](phase p) { return number(p.state.npu_load, 0); });
    add_clocks(all, r);
    add(all, r, "max C", [](phase p) { return number(p.state.celsius, 0); });
    return all;
}

columns emulated_columns(const bench_report & r) {
    columns all;
    using phase = const bench_phase &;
    add(all, r, "NPU us/token", [](phase p) { return p.emulated ? number(p.emulated->npu_us, 1) : ""; });
    add(all, r, "core us/token", [](phase p) { return p.emulated ? number(p.emulated->core_us, 1) : ""; });
    add(all, r, "NPU J/token", [](phase p) { return p.emulated ? three_digits(p.emulated->joules) : ""; });
    add(all, r, "jobs/token", [](phase p) { return p.emulated ? number(p.emulated->jobs, 1) : ""; });
    add(all, r, "MMAC/token", [](phase p) { return p.emulated ? number(p.emulated->macs / 1e6, 2) : ""; });
    add(all, r, "MiB weights/token",
        [](phase p) { return p.emulated ? number(p.emulated->weight_bytes / (1 << 20), 3) : ""; });
    add(all, r, "tokens/s modelled", [](phase p) { return number(p.modelled_tokens_s, 2); });
    return all;
}

columns columns_of(const bench_report & r) {
    columns all = r.emulated ? emulated_columns(r) : measured_columns(r);
    column names{"test", {}};
    for (const bench_phase & phase : r.phases)
        names.cells.push_back(std::string(phase.name()) + " " + phase.label());
    all.insert(all.begin(), names);
    return all;
}

constexpr const char * emulated_words =
    "EMULATED: no board was used. Times and energy are those of the emulator's virtual clock (modelled), of the NPU's "
    "part alone: the CPU's work for a token is not in them.";

std::string model_of(const bench_report & r) {
    const json & line = r.phases.front().test.line;
    return std::filesystem::path(r.wishes.model).filename().string() + " (" + line.value("model_type", "?") + ", " +
           format_text("%.2f GiB", line.value("model_size", 0.0) / (1 << 30)) + ")";
}

std::string program_of(const bench_report & r) {
    const json & line = r.phases.front().test.line;
    return "llama-bench " + line.value("build_commit", "?") + ", " + std::to_string(line.value("n_threads", 0)) +
           " threads, " + std::to_string(r.phases.front().test.repetitions) + " repetitions";
}

std::string power_of(const bench_report & r) {
    if (r.rail < 0) return "";
    std::string text = r.rails[size_t(r.rail)];
    if (r.rails.size() > 1) text += format_text(", the largest of %zu rails", r.rails.size());
    if (r.idle_watts) text += format_text("; idle %.2f W", *r.idle_watts);
    return text;
}

std::string throttling_of(const bench_report & r) {
    std::string hot;
    bool known = false;
    for (const bench_phase & phase : r.phases) {
        known |= !phase.state.clocks.empty() && phase.state.celsius;
        if (phase.state.throttled) hot += std::string(hot.empty() ? "" : " and ") + "in " + phase.name();
    }
    if (!known) return "";
    return hot.empty() ? "no" : "yes, " + hot + ": the figures are those of a hot chip";
}

// What stands above and below the table: name and text, none empty.
std::vector<std::pair<std::string, std::string>> facts_of(const bench_report & r) {
    std::vector<std::pair<std::string, std::string>> all;
    const auto say = [&](const char * name, const std::string & text) {
        if (!text.empty()) all.push_back({name, text});
    };
    say("device", r.wishes.on_cpu ? "CPU only (--cpu)" : r.device);
    say("board", r.board);
    say("kernel", r.emulated ? "" : r.kernel);
    say("model", model_of(r));
    if (!r.wishes.on_cpu) say("format", r.format);
    say("program", program_of(r));
    say("power", power_of(r));
    say("throttled", throttling_of(r));
    if (!r.modelled_for.empty()) say("modelled", "by rknpu predict, for " + r.modelled_for);
    for (const std::string & line : r.summary.account)
        if (const size_t colon = line.find(':'); colon != std::string::npos)
            say(line.substr(0, colon).c_str(), line.substr(line.find_first_not_of(' ', colon + 1)));
        else
            say("NPU", line);
    for (const std::string & note : r.notes)
        say("note", note);
    return all;
}

json optional_json(const std::optional<double> & value) {
    return value ? json(*value) : json();
}

json state_json(const machine_state & s, const std::vector<std::string> & rails) {
    json clocks = json::array(), watts = json::array();
    for (const clock_range & c : s.clocks)
        clocks.push_back({{"name", c.name},
                          {"min_hz", c.smallest},
                          {"max_hz", c.largest},
                          {"hardware_hz", c.hardware},
                          {"throttled", c.throttled}});
    for (size_t i = 0; i < s.rail_w.size() && i < rails.size(); i++)
        watts.push_back({{"rail", rails[i]}, {"watts", optional_json(s.rail_w[i])}});
    return {{"rails", watts},
            {"clocks", clocks},
            {"celsius_max", optional_json(s.celsius)},
            {"npu_load_percent", optional_json(s.npu_load)},
            {"throttled", s.throttled}};
}

json phase_json(const bench_phase & p, const bench_report & r) {
    json all = {{"name", p.name()},      {"label", p.label()},        {"n_prompt", p.test.n_prompt},
                {"n_gen", p.test.n_gen}, {"n_depth", p.test.n_depth}, {"repetitions", p.test.repetitions}};
    if (p.emulated)
        all.update({{"emulated_npu_us_per_token", optional_json(p.emulated->npu_us)},
                    {"emulated_core_us_per_token", optional_json(p.emulated->core_us)},
                    {"emulated_npu_joules_per_token", optional_json(p.emulated->joules)},
                    {"jobs_per_token", p.emulated->jobs},
                    {"macs_per_token", p.emulated->macs},
                    {"weight_bytes_per_token", p.emulated->weight_bytes},
                    {"this_pc_tokens_per_second", p.test.tokens_s}});
    else
        all.update({{"tokens_per_second", p.test.tokens_s},
                    {"tokens_per_second_stddev", p.test.tokens_s_stddev},
                    {"watts", optional_json(p.watts)},
                    {"watts_over_idle", optional_json(p.watts_over_idle)},
                    {"joules_per_token", optional_json(p.joules())},
                    {"joules_per_token_over_idle", optional_json(p.joules_over_idle())},
                    {"machine", state_json(p.state, r.rails)}});
    all["modelled_tokens_per_second"] = optional_json(p.modelled_tokens_s);
    all["llama_bench"] = p.test.line;
    return all;
}

} // namespace

std::string bench_phase::label() const {
    std::string text = test.n_prompt ? "pp" + std::to_string(test.n_prompt) : "";
    if (test.n_gen) text += (text.empty() ? "tg" : "+tg") + std::to_string(test.n_gen);
    return text + (test.n_depth ? " @ d" + std::to_string(test.n_depth) : "");
}

std::string bench_table(const bench_report & r) {
    std::string text = r.emulated ? std::string(emulated_words) + "\n\n" : "";
    for (const auto & [name, value] : facts_of(r))
        text += format_text("%-11s %s\n", (name + ":").c_str(), value.c_str());
    text += "\n";
    const columns all = columns_of(r);
    for (size_t row = 0; row <= r.phases.size(); row++) {
        for (const column & c : all) {
            size_t width = c.title.size();
            for (const std::string & cell : c.cells)
                width = std::max(width, cell.size());
            const std::string & cell = row ? c.cells[row - 1] : c.title;
            text += format_text(&c == &all.front() ? "%-*s" : "  %*s", int(width), cell.c_str());
        }
        text += "\n";
    }
    return text;
}

std::string bench_markdown(const bench_report & r) {
    std::string text = "### rknpu bench, " + r.date + "\n\n";
    if (r.emulated) text += std::string("**") + emulated_words + "**\n\n";
    std::string head = "|", line = "|";
    std::vector<std::string> rows(r.phases.size(), "|");
    for (const column & c : columns_of(r)) {
        head += " " + c.title + " |";
        line += head.size() > 8 && line.size() > 1 ? "---:|" : "---|";
        for (size_t i = 0; i < rows.size(); i++)
            rows[i] += " " + (c.cells[i].empty() ? "-" : c.cells[i]) + " |";
    }
    text += head + "\n" + line + "\n";
    for (const std::string & row : rows)
        text += row + "\n";
    text += "\n";
    for (const auto & [name, value] : facts_of(r))
        text += "- " + name + ": " + value + "\n";
    return text + "- made by: rknpu " RKNPU_VERSION "\n";
}

json bench_json(const bench_report & r) {
    json phases = json::array();
    for (const bench_phase & p : r.phases)
        phases.push_back(phase_json(p, r));
    const char * kind = r.emulated ? "emulated" : r.wishes.on_cpu ? "measured, CPU only" : "measured";
    json all = {{"rknpu", RKNPU_VERSION},
                {"kind", kind},
                {"emulated", r.emulated},
                {"date", r.date},
                {"device", r.wishes.on_cpu ? "CPU" : r.device},
                {"board", r.board},
                {"kernel", r.kernel},
                {"model", r.wishes.model},
                {"format", r.wishes.on_cpu ? json() : json(r.format)},
                {"power_source", r.rail < 0 ? json() : json(r.rails[size_t(r.rail)])},
                {"idle_watts", optional_json(r.idle_watts)},
                {"modelled_for", r.modelled_for.empty() ? json() : json(r.modelled_for)},
                {"phases", phases},
                {"notes", r.notes}};
    if (!r.emulated) all["idle"] = state_json(r.idle_state, r.rails);
    if (!r.wishes.on_cpu)
        all["npu"] = {{"jobs", r.summary.jobs},
                      {"graphs", r.summary.graphs},
                      {"jobs_failed", r.summary.jobs_failed},
                      {"jobs_on_cpu", r.summary.jobs_on_cpu},
                      {"retired", r.summary.retired},
                      {"account", r.summary.account}};
    return all;
}

} // namespace rknpu
