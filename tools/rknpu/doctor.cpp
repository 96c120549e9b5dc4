// rknpu doctor: what stands between this machine and a fast NPU, and the commands that cure it.
//
// Invariant: changes nothing without --fix, and with it only governors; with --root, looks at nothing but that tree.
#include "commands.h"

#include "doctor/rules.h"
#include "llama-programs.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

extern "C" char ** environ;

namespace rknpu {

namespace {

using namespace doctor;

struct doctor_options {
    bool as_json = false, fix = false, emulator = false;
    std::string root, llama_bin, plugin;
};

status check_options(doctor_options & o) {
    std::error_code ignored;
    if (!o.root.empty() && !std::filesystem::is_directory(o.root, ignored))
        return {errc::invalid_argument, "--root: no folder '" + o.root + "'; give one that holds sys/, proc/ and dev/"};
    while (!o.root.empty() && o.root.back() == '/')
        o.root.pop_back(); // "/" is this machine
    if (o.emulator && !o.root.empty())
        return {errc::invalid_argument, "--emulator tests this machine; leave --root away"};
    if (o.emulator && find_emulator().empty())
        return {errc::not_found, "the emulator is not built; run 'make build', or set GGML_RKNPU_RUNTIME"};
    if (!o.llama_bin.empty() && !std::filesystem::is_directory(o.llama_bin, ignored))
        return {errc::invalid_argument,
                "--llama-bin: no folder '" + o.llama_bin + "'; give that of llama.cpp's programs"};
    if (!o.plugin.empty()) {
        if (const auto found = find_plugin(o.plugin); !found.ok()) return found.status();
    }
    return {};
}

machine look(const doctor_options & o) {
    machine m = read_machine(o.root, environ);
    m.emulator = find_emulator();
    if (!o.root.empty()) return m;
    m.llama = probe_llama(o.llama_bin, o.plugin); // forks: before there are threads
    if (o.emulator) m.wishes.runtime = m.emulator;
    m.test = probe_npu(m.wishes);
    return m;
}

// What was written, and the first thing that could not be.
struct treatment {
    std::vector<repair> done;
    std::string failure;
};

treatment treat(const std::string & root, const std::vector<finding> & findings) {
    treatment t;
    for (const auto & f : findings) {
        for (const auto & r : f.repairs) {
            errno = 0;
            std::ofstream file(root + r.path);
            file << r.value << std::flush;
            if (file) {
                t.done.push_back(r);
            } else if (t.failure.empty()) {
                t.failure = "cannot write " + root + r.path + ": " + std::strerror(errno ? errno : EIO) +
                            (errno == EACCES || errno == EPERM ? "; run it as root: sudo rknpu doctor --fix" : "");
            }
        }
    }
    return t;
}

size_t count(const std::vector<finding> & findings, severity level) {
    return size_t(std::count_if(findings.begin(), findings.end(), [&](const finding & f) { return f.level == level; }));
}

std::string plural(size_t n, const char * what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

void print_table(const std::vector<finding> & findings) {
    size_t repairs = 0;
    for (const auto & f : findings) {
        std::printf("%-8s %-13s %s\n", severity_name(f.level), f.id.c_str(), f.what.c_str());
        const auto line = [](const char * name, const std::string & text) {
            if (!text.empty()) std::printf("%22s   %-8s%s\n", "", name, text.c_str());
        };
        repairs += f.repairs.size();
        if (f.level >= severity::warning) line("why:", f.why);
        if (f.level >= severity::warning && !f.effect.empty()) line("effect:", f.effect + " [" + f.source + "]");
        if (f.level != severity::ok) line("cure:", f.cure);
    }
    std::printf("\n%s, %s, %s", plural(count(findings, severity::fault), "fault").c_str(),
                plural(count(findings, severity::warning), "warning").c_str(),
                plural(count(findings, severity::note), "note").c_str());
    if (repairs)
        std::printf("; 'sudo rknpu doctor --fix' sets %s until the next boot", plural(repairs, "governor").c_str());
    std::printf("\n");
}

json json_of(const clock_domain & c) {
    return {{"name", c.name},
            {"governor", c.governor},
            {"now_hz", c.now},
            {"allowed_hz", c.allowed},
            {"hardware_hz", c.hardware}};
}

json json_of(const machine & m) {
    json clocks = json::array(), zones = json::array(), runtimes = json::array(), formats = json::array();
    for (const auto & c : m.cpu_clocks)
        clocks.push_back(json_of(c));
    for (const auto * c : {&m.npu_clock, &m.ddr_clock})
        if (!c->name.empty()) clocks.push_back(json_of(*c));
    for (const auto & z : m.zones)
        zones.push_back({{"name", z.name}, {"celsius", z.celsius}});
    for (const auto & r : m.runtimes)
        runtimes.push_back({{"path", r.path}, {"version", r.version}, {"emulator", r.emulator}});
    for (const auto & f : m.test.formats)
        formats.push_back({{"format", f.name},
                           {"error", f.error},
                           {"allowed", f.allowed},
                           {"on_npu", f.on_npu},
                           {"agrees", f.agrees}});
    return {{"board", m.board},
            {"chip", m.chip},
            {"kernel", m.kernel},
            {"driver", m.rocket && !m.driver_loaded ? "rocket" : m.driver_version},
            {"runtimes", runtimes},
            {"clocks", clocks},
            {"temperatures", zones},
            {"memory_bytes", m.memory_total},
            {"memory_available_bytes", m.memory_available},
            {"swap_bytes", m.swap_total},
            {"device", m.test.device},
            {"emulated", m.test.emulated},
            {"self_test", formats}};
}

void print_json(const machine & m, const std::vector<finding> & findings, const treatment & done) {
    json list = json::array(), written = json::array();
    for (const auto & f : findings)
        list.push_back({{"id", f.id},
                        {"severity", severity_name(f.level)},
                        {"what", f.what},
                        {"why", f.why},
                        {"effect", f.effect},
                        {"source", f.source},
                        {"cure", f.cure},
                        {"fixable", !f.repairs.empty()}});
    for (const auto & r : done.done)
        written.push_back({{"path", r.path}, {"value", r.value}});
    const json all = {{"rknpu", RKNPU_VERSION},
                      {"healthy", count(findings, severity::fault) == 0},
                      {"faults", count(findings, severity::fault)},
                      {"warnings", count(findings, severity::warning)},
                      {"findings", list},
                      {"fixed", written},
                      {"machine", json_of(m)}};
    std::printf("%s\n", text_of(all, 2).c_str());
}

int run_doctor(doctor_options & o) {
    if (auto s = check_options(o); !s.ok()) return exit_code_of("doctor", s);
    machine m = look(o);
    auto findings = examine(m);
    treatment done;
    if (o.fix) {
        done = treat(o.root, findings);
        for (const auto & r : done.done)
            std::fprintf(stderr, "rknpu doctor: wrote %s into %s\n", r.value.c_str(), r.path.c_str());
        const machine after = read_machine(o.root, environ);
        m.cpu_clocks = after.cpu_clocks;
        m.npu_clock = after.npu_clock;
        m.ddr_clock = after.ddr_clock;
        findings = examine(m);
    }
    if (o.as_json)
        print_json(m, findings, done);
    else
        print_table(findings);
    if (!done.failure.empty()) return exit_code_of("doctor", status(errc::permission, done.failure));
    return count(findings, severity::fault) == 0 ? 0 : 1;
}

} // namespace

void add_doctor(CLI::App & app, int & exit_code) {
    CLI::App * command =
        app.add_subcommand("doctor", "what keeps this machine's NPU from working, or from being fast, and the cures");
    const auto o = std::make_shared<doctor_options>();
    command->add_flag("--json", o->as_json, "as JSON");
    command->add_flag("--fix", o->fix,
                      "as root: set the governors of CPU, NPU and memory to performance, nothing else");
    command->add_flag("--emulator", o->emulator, "self-test the emulator of this build instead of an NPU");
    command->add_option("--root", o->root,
                        "look at a copy of another machine's /sys, /proc and /dev below this folder");
    command->add_option("--llama-bin", o->llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", o->plugin, "libggml-rknpu.so");
    command->callback([o, &exit_code] { exit_code = run_doctor(*o); });
}

} // namespace rknpu
