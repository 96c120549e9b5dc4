// rknpu bench without a board: arithmetic over samples, sensors of made-up machines, what llama-bench says, the report.
#include "bench/bench.h"
#include "bench/power-command.h"
#include "bench/power-rails.h"
#include "bench/sampler.h"

#include "doctor-trees.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <sys/resource.h>

namespace rknpu {
namespace {

using test::planted_folder;

// ---- arithmetic ----

series uneven() {
    series s;
    for (const point & p : {point{0, 2}, {1, 4}, {4, 4}, {5, 0}})
        s.add(p.time, p.value);
    return s;
}

TEST(bench_series, energy_is_the_area_below_uneven_samples) {
    const series s = uneven();
    EXPECT_DOUBLE_EQ(*s.integral({0, 5}), 3 + 12 + 2);
    EXPECT_DOUBLE_EQ(*s.mean({0, 5}), 17.0 / 5);
    // Up to the ends of a stretch its nearest sample counts.
    EXPECT_DOUBLE_EQ(*s.integral({0.5, 4.5}), 2 + 12 + 2);
    EXPECT_DOUBLE_EQ(*s.integral({-1, 6}), 17 + 2 + 0);
    EXPECT_DOUBLE_EQ(*s.smallest({0.5, 4.5}), 4);
    EXPECT_DOUBLE_EQ(*s.largest({0, 5}), 4);
}

TEST(bench_series, too_few_samples_are_no_figure) {
    const series s = uneven();
    EXPECT_FALSE(s.integral({1.5, 3.5}));
    EXPECT_FALSE(s.integral({0.5, 3.5})) << "one sample is a guess";
    EXPECT_FALSE(s.smallest({1.5, 3.5}));
    EXPECT_FALSE(series().mean({0, 1}));
}

// Two rails, of which the second feeds the first, sampled every 0.1 s: rest until 2, prefill until 4, decode until 6.
recording recorded_board() {
    recording r;
    r.rails.resize(2);
    doctor::clock_domain dmc;
    dmc.name = "dmc";
    dmc.governor = "performance";
    dmc.now = dmc.allowed = dmc.hardware = 2112000000;
    r.clocks.push_back({dmc, {}, {}});
    for (int i = 0; i <= 60; i++) {
        const double t = 0.1 * i;
        r.rails[0].add(t, t < 2 ? 0.5 : 2);
        r.rails[1].add(t, t < 2 ? 3 : t < 4 ? 7 : 5);
        r.clocks[0].now.add(t, 2112e6);
        r.clocks[0].allowed.add(t, 2112e6);
        r.celsius.add(t, 40 + t);
        r.npu_load.add(t, t < 2 ? 0 : 60);
    }
    return r;
}

bench_report report_of_board() {
    bench_report r;
    r.wishes.model = "/models/some.gguf";
    r.device = "RK3588 NPU, 3 cores (librknnrt 2.3.2, driver 0.9.8)";
    r.board = "Radxa ROCK 5B";
    r.date = "2026-11-27 10:00 UTC";
    r.format = "balanced";
    r.idle = {0.05, 1.85};
    r.rails = {"ina3221 VDD_NPU (hwmon1/curr1_input)", "ina226 VIN (hwmon2/power1_input)"};
    r.summary.account = {"NPU jobs:   45 in 3 graphs (1 of them new); 0 failed, 0 computed on the CPU instead"};
    r.summary.jobs = 45;
    bench_phase prefill, decode;
    prefill.test.n_prompt = 512;
    prefill.test.tokens_s = 200;
    prefill.test.tokens_s_stddev = 1.5;
    prefill.test.when = {2.05, 3.85};
    prefill.test.line = {{"model_type", "gemma3 1B Q8_0"}, {"build_commit", "abc"}, {"n_threads", 4}};
    decode.test.n_gen = 128;
    decode.test.tokens_s = 20;
    decode.test.when = {4.05, 5.85};
    decode.test.line = prefill.test.line;
    r.phases = {prefill, decode};
    return r;
}

TEST(bench_power, over_idle_and_per_token) {
    bench_report r = report_of_board();
    take_recording(r, recorded_board());
    EXPECT_EQ(r.rail, 1) << "the rail that feeds the other";
    EXPECT_NEAR(*r.idle_watts, 3, 1e-9);
    EXPECT_NEAR(*r.phases[0].watts, 7, 1e-9);
    EXPECT_NEAR(*r.phases[0].watts_over_idle, 4, 1e-9);
    EXPECT_NEAR(*r.phases[0].joules(), 7.0 / 200, 1e-9);
    EXPECT_NEAR(*r.phases[1].joules(), 5.0 / 20, 1e-9);
    EXPECT_NEAR(*r.phases[1].joules_over_idle(), 2.0 / 20, 1e-9);
    EXPECT_NEAR(*r.phases[1].state.rail_w[0], 2, 1e-9);
    EXPECT_FALSE(r.phases[0].state.throttled);
    EXPECT_TRUE(r.notes.empty());
}

TEST(bench_power, a_test_shorter_than_the_samples_has_none) {
    bench_report r = report_of_board();
    r.phases[0].test.when = {2.11, 2.19};
    take_recording(r, recorded_board());
    EXPECT_FALSE(r.phases[0].watts);
    EXPECT_FALSE(r.phases[0].joules());
    ASSERT_EQ(r.notes.size(), 1u);
    EXPECT_NE(r.notes[0].find("pp512 was too short"), std::string::npos);
}

TEST(bench_power, without_rest_there_is_no_figure_over_idle) {
    bench_report r = report_of_board();
    r.idle = {0.05, 0.05};
    take_recording(r, recorded_board());
    EXPECT_FALSE(r.idle_watts);
    EXPECT_NEAR(*r.phases[0].watts, 7, 1e-9);
    EXPECT_FALSE(r.phases[0].watts_over_idle);
}

// ---- throttling ----

machine_state state_with(double celsius, const char * governor, double now_hz, double allowed_hz) {
    recording r = recorded_board();
    recorded_clock & c = r.clocks[0];
    c.at_start.governor = governor;
    c.now.add(6.1, now_hz);
    c.allowed.add(6.1, allowed_hz);
    r.celsius.add(6.1, celsius);
    return state_in(r, {4, 7});
}

TEST(bench_throttling, needs_heat_and_a_clock_that_the_kernel_lowered) {
    EXPECT_TRUE(state_with(86, "performance", 2112e6, 1560e6).throttled);
    EXPECT_TRUE(state_with(86, "performance", 1560e6, 2112e6).throttled) << "the firmware did it";
    EXPECT_FALSE(state_with(86, "performance", 2112e6, 2112e6).throttled);
    EXPECT_FALSE(state_with(50, "performance", 1560e6, 1560e6).throttled) << "somebody set it";
    EXPECT_FALSE(state_with(86, "dmc_ondemand", 528e6, 2112e6).throttled) << "nothing to do";
    EXPECT_TRUE(state_with(86, "dmc_ondemand", 528e6, 1560e6).throttled);
    EXPECT_EQ(state_with(50, "performance", 1560e6, 2112e6).clocks[0].smallest, 1560e6);
}

TEST(bench_load, is_the_mean_of_the_cores) {
    const planted_folder folder("/sys/kernel/debug/rknpu/load = NPU load:  Core0: 62%, Core1: 40%, Core2:  0%,\\n\n");
    EXPECT_DOUBLE_EQ(*read_npu_load(doctor::tree(folder.root)), 34);
    EXPECT_FALSE(read_npu_load(doctor::tree(folder.root + "/nowhere")));
}

// ---- sensors ----

struct sensor_case {
    const char * name;
    const char * files;
    std::vector<std::pair<std::string, double>> rails; // name, W
    std::vector<std::string> left_out;
};

std::ostream & operator<<(std::ostream & out, const sensor_case & c) {
    return out << c.name;
}

const sensor_case sensor_cases[] = {
    {"ina226",
     R"(
/sys/class/hwmon/hwmon0/name = rk3588_thermal\n
/sys/class/hwmon/hwmon0/temp1_input = 41000\n
/sys/class/hwmon/hwmon3/name = ina226\n
/sys/class/hwmon/hwmon3/in0_input = 12\n
/sys/class/hwmon/hwmon3/in1_input = 5060\n
/sys/class/hwmon/hwmon3/curr1_input = 612\n
/sys/class/hwmon/hwmon3/power1_label = VDD_5V\n
/sys/class/hwmon/hwmon3/power1_input = 3096000\n
)",
     {{"ina226 VDD_5V (hwmon3/power1_input)", 3.096}},
     {}},
    // in4 and curr4 are a shunt's voltage and the sum of all currents; the second channel is switched off.
    {"ina3221",
     R"(
/sys/class/hwmon/hwmon1/name = ina3221\n
/sys/class/hwmon/hwmon1/in1_label = VDD_IN\n
/sys/class/hwmon/hwmon1/in1_input = 12000\n
/sys/class/hwmon/hwmon1/curr1_input = 400\n
/sys/class/hwmon/hwmon1/in2_input = 0\n
/sys/class/hwmon/hwmon1/curr2_input = \n
/sys/class/hwmon/hwmon1/in3_label = VDD_NPU\n
/sys/class/hwmon/hwmon1/in3_input = 850\n
/sys/class/hwmon/hwmon1/curr3_input = 1000\n
/sys/class/hwmon/hwmon1/in4_input = 4000\n
/sys/class/hwmon/hwmon1/curr4_input = 1400\n
)",
     {{"ina3221 VDD_IN (hwmon1/curr1_input)", 4.8}, {"ina3221 VDD_NPU (hwmon1/curr3_input)", 0.85}},
     {}},
    {"pmic_that_averages",
     R"(
/sys/class/hwmon/hwmon2/name = scmi_sensors\n
/sys/class/hwmon/hwmon2/power1_average = 5250000\n
/sys/class/hwmon/hwmon2/power2_average = 1000000\n
/sys/class/hwmon/hwmon2/power2_input = 900000\n
)",
     {{"scmi_sensors (hwmon2/power1_average)", 5.25}, {"scmi_sensors (hwmon2/power2_input)", 0.9}},
     {}},
    {"battery_that_counts_downwards",
     R"(
/sys/class/power_supply/cw221X-bat/type = Battery\n
/sys/class/power_supply/cw221X-bat/status = Discharging\n
/sys/class/power_supply/cw221X-bat/current_now = -800000\n
/sys/class/power_supply/cw221X-bat/voltage_now = 3900000\n
)",
     {{"cw221X-bat (cw221X-bat/current_now)", 3.12}},
     {}},
    {"battery_with_power",
     R"(
/sys/class/power_supply/BAT0/type = Battery\n
/sys/class/power_supply/BAT0/status = Discharging\n
/sys/class/power_supply/BAT0/power_now = 7125000\n
/sys/class/power_supply/BAT0/current_now = 600000\n
/sys/class/power_supply/BAT0/voltage_now = 11800000\n
)",
     {{"BAT0 (BAT0/power_now)", 7.125}},
     {}},
    {"battery_on_its_charger",
     R"(
/sys/class/power_supply/BAT0/type = Battery\n
/sys/class/power_supply/BAT0/status = Charging\n
/sys/class/power_supply/BAT0/power_now = 7125000\n
)",
     {},
     {"BAT0: the battery is not discharging (Charging); unplug the board's supply"}},
    {"iio",
     R"(
/sys/bus/iio/devices/iio:device0/name = ina231\n
/sys/bus/iio/devices/iio:device0/in_power2_raw = 180\n
/sys/bus/iio/devices/iio:device0/in_power2_scale = 25.000000000\n
/sys/bus/iio/devices/iio:device1/name = fe720000.saradc\n
/sys/bus/iio/devices/iio:device1/in_voltage0_raw = 4095\n
)",
     {{"ina231 (iio:device0/in_power2_raw)", 4.5}},
     {}},
    // A ROCK 5B: what looks like a measurement is what the supply promised, once by itself and once as hwmon.
    {"usb_c_promise",
     R"(
/sys/class/power_supply/tcpm-source-psy-4-0022/type = USB\n
/sys/class/power_supply/tcpm-source-psy-4-0022/current_now = 3000000\n
/sys/class/power_supply/tcpm-source-psy-4-0022/voltage_now = 20000000\n
/sys/class/hwmon/hwmon8/name = tcpm_source_psy_4_0022\n
/sys/class/hwmon/hwmon8/in0_input = 20000\n
/sys/class/hwmon/hwmon8/curr0_input = 3000\n
)",
     {},
     {"tcpm-source-psy-4-0022: what the USB-C supply promised, not what flows"}},
    {"nothing", "/sys/class/hwmon/hwmon0/name = pwmfan\\n\n", {}, {}},
};

class sensors : public testing::TestWithParam<sensor_case> {};

TEST_P(sensors, are_found_with_their_figures) {
    const sensor_case & c = GetParam();
    const planted_folder folder(c.files);
    const doctor::tree files(folder.root);
    const power_survey found = find_power_rails(files);
    ASSERT_EQ(found.rails.size(), c.rails.size());
    for (size_t i = 0; i < c.rails.size(); i++) {
        EXPECT_EQ(found.rails[i].name, c.rails[i].first);
        EXPECT_NEAR(found.rails[i].watts(files).value_or(NAN), c.rails[i].second, 1e-9);
        // Its file, named by the user, is the same rail.
        const auto named = power_rail_of(files, found.rails[i].factors[0].path);
        ASSERT_TRUE(named.ok()) << named.status().message();
        EXPECT_EQ(named.value().name, c.rails[i].first);
    }
    EXPECT_EQ(found.left_out, c.left_out);
}

INSTANTIATE_TEST_SUITE_P(machines, sensors, testing::ValuesIn(sensor_cases),
                         [](const auto & info) { return std::string(info.param.name); });

std::string refusal(const doctor::tree & files, const char * wanted) {
    const auto meter = open_meter(files, wanted);
    return meter.ok() ? "" : meter.status().message();
}

TEST(bench_sensors, a_file_that_is_no_use_gets_a_line_with_what_there_is) {
    const planted_folder folder(std::string(sensor_cases[0].files) + sensor_cases[7].files);
    const doctor::tree files(folder.root);
    const std::string cure = "this machine has: /sys/class/hwmon/hwmon3/power1_input";
    for (const auto & [file, why] : {std::pair<const char *, const char *>{"/sys/nowhere", "no file"},
                                     {"/sys/class/hwmon/hwmon3/name", "is no sensor of power"},
                                     {"/sys/class/hwmon/hwmon3/in1_input", "is no sensor of power"},
                                     {"/sys/class/power_supply/tcpm-source-psy-4-0022/current_now", "promised"}}) {
        const std::string line = refusal(files, file);
        EXPECT_NE(line.find(why), std::string::npos) << line;
        EXPECT_NE(line.find(cure), std::string::npos) << line;
    }
    const planted_folder empty("/sys/x = 1\n");
    EXPECT_NE(refusal(doctor::tree(empty.root), "/sys/y").find("--power command:"), std::string::npos);
    EXPECT_NE(refusal(files, "command: ").find("prints W"), std::string::npos);
    EXPECT_TRUE(open_meter(files, "none").value().none());
}

TEST(bench_sensors, a_rail_that_falls_silent_is_no_figure) {
    planted_folder folder(sensor_cases[0].files);
    const doctor::tree files(folder.root);
    const power_rail rail = find_power_rails(files).rails.at(0);
    test::plant(folder.root, "/sys/class/hwmon/hwmon3/power1_input = \\n\n");
    EXPECT_FALSE(rail.watts(files));
}

// ---- a command as a meter ----

const auto never = [] { return false; };

TEST(bench_command, the_last_number_counts) {
    EXPECT_DOUBLE_EQ(read_power_command("echo 'ina226 4.1 W'", 5, never).value(), 4.1);
    EXPECT_DOUBLE_EQ(read_power_command("printf '3.5\\n7.25W\\n'", 5, never).value(), 7.25);
    EXPECT_DOUBLE_EQ(last_number("p1=5e-1").value(), 0.5);
    EXPECT_FALSE(last_number("x226 nan inf").ok());
}

TEST(bench_command, of_endless_words_only_the_last_are_kept) {
    const auto most_kib = [] {
        rusage used{};
        getrusage(RUSAGE_SELF, &used);
        return used.ru_maxrss;
    };
    const long before = most_kib();
    EXPECT_DOUBLE_EQ(read_power_command("yes watts | head -c 33554432; echo ' 4.5'", 120, never).value(), 4.5);
    EXPECT_LT(most_kib() - before, 16384);
}

TEST(bench_command, failures_are_words) {
    EXPECT_EQ(read_power_command("echo 4; exit 3", 5, never).status().message(), "exit code 3");
    EXPECT_EQ(read_power_command("kill -9 $$", 5, never).status().message(), "signal 9");
    EXPECT_EQ(read_power_command("true", 5, never).status().message(), "it printed no number");
}

TEST(bench_command, ends_in_time_with_all_that_it_started) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(read_power_command("sleep 30 & echo 4; sleep 30", 0.2, never).status().code(), errc::timeout);
    EXPECT_EQ(read_power_command("echo 4; exec >&-; sleep 30", 0.2, never).status().code(), errc::timeout);
    EXPECT_FALSE(read_power_command("sleep 30", 30, [] { return true; }).ok());
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
}

TEST(bench_command, one_that_fails_is_told_once_and_done_without) {
    const planted_folder folder("/sys/x = 1\n");
    const auto meter = open_meter(doctor::tree(folder.root), "command:exit 7");
    ASSERT_TRUE(meter.ok());
    EXPECT_TRUE(meter.value().none());
    ASSERT_EQ(meter.value().notes.size(), 1u);
    EXPECT_NE(meter.value().notes[0].find("exit code 7; going on without"), std::string::npos);
}

TEST(bench_sampler, reads_rails_and_clocks_until_it_is_stopped) {
    const planted_folder folder(std::string(test::rk3588_files) + sensor_cases[0].files);
    const doctor::tree files(folder.root);
    const auto meter = open_meter(files, "auto");
    ASSERT_TRUE(meter.ok());
    sampler watching(files, meter.value(), 0.01);
    const double begin = seconds_now();
    while (seconds_now() - begin < 0.3) {
    }
    watching.stop();
    const machine_state s = state_in(watching.recorded(), {begin, seconds_now()});
    EXPECT_NEAR(s.rail_w.at(0).value_or(0), 3.096, 1e-9);
    EXPECT_NEAR(s.celsius.value_or(0), 47.153, 1e-9);
    ASSERT_EQ(s.clocks.size(), 4u);
    EXPECT_EQ(s.clocks[0].name, "fdab0000.npu");
    EXPECT_EQ(s.clocks[2].largest, 2352e6);
}

// ---- llama-bench ----

TEST(bench_output, tests_and_when_they_were_measured) {
    bench_output said;
    said.feed("load_backend: loaded CPU backend\nllama-bench: benchmark 1/2: starting\n", 1);
    said.feed("llama-bench: benchmark 1/2: warmup prompt run\nllama-bench: benchmark 1/2: prompt ru", 2);
    said.feed("n 1/2\n", 3);
    EXPECT_EQ(said.doing(), "prompt run 1/2");
    said.feed("llama-bench: benchmark 1/2: prompt run 2/2\n", 4);
    said.feed(
        R"({"n_prompt": 64, "n_gen": 0, "avg_ts": 32.5, "stddev_ts": 0.5, "samples_ns": [2000000000, 1000000000]})"
        "\n",
        6);
    said.feed("llama-bench: benchmark 2/2: depth run 1/1\n", 7);
    said.feed("llama-bench: benchmark 2/2: generation run 1/1\n", 8);
    said.feed(R"({"n_prompt": 0, "n_gen": 16, "n_depth": 8, "avg_ts": 8, "samples_ns": [2000000000]})", 10);
    said.finish(10);
    ASSERT_EQ(said.tests().size(), 2u);
    const bench_test &prefill = said.tests()[0], &decode = said.tests()[1];
    EXPECT_EQ(prefill.n_prompt, 64);
    EXPECT_EQ(prefill.repetitions, 2);
    EXPECT_DOUBLE_EQ(prefill.tokens_s, 32.5);
    EXPECT_DOUBLE_EQ(prefill.seconds, 3);
    EXPECT_DOUBLE_EQ(prefill.when.begin, 3);
    EXPECT_DOUBLE_EQ(prefill.when.end, 6);
    EXPECT_DOUBLE_EQ(decode.when.begin, 8) << "filling the cache is not decoding";
    EXPECT_EQ(decode.n_depth, 8);
    EXPECT_EQ(said.error(), "");
}

TEST(bench_output, the_first_error_is_the_cause) {
    bench_output said;
    said.feed("main: error: failed to load model 'x.gguf'\nmain: error: nothing left\n", 0);
    EXPECT_EQ(said.error(), "main: error: failed to load model 'x.gguf'");
}

// ---- the emulator's work ----

TEST(bench_virtual, a_token_is_the_difference_of_two_runs) {
    const json fewer = {{"runs", 100},           {"macs", 1000},     {"bytes_b", 500},
                        {"virtual_ns", 5000000}, {"energy_uj", 700}, {"busy_ns_of_core", {1000, 2000, 3000}}};
    const json more = {{"runs", 180},           {"macs", 9000},      {"bytes_b", 4500},
                       {"virtual_ns", 5800000}, {"energy_uj", 1500}, {"busy_ns_of_core", {201000, 202000, 203000}}};
    const auto work = work_of_a_token(fewer, more, 16);
    ASSERT_TRUE(work.ok());
    EXPECT_DOUBLE_EQ(work.value().jobs, 5);
    EXPECT_DOUBLE_EQ(work.value().macs, 500);
    EXPECT_DOUBLE_EQ(work.value().weight_bytes, 250);
    EXPECT_DOUBLE_EQ(*work.value().npu_us, 50);
    EXPECT_DOUBLE_EQ(*work.value().core_us, 37.5);
    EXPECT_NEAR(*work.value().joules, 50e-6, 1e-12);
    EXPECT_FALSE(work_of_a_token(fewer, fewer, 16).ok());
    EXPECT_FALSE(work_of_a_token({{"runs", 1}}, {{"runs", 2}}, 1).value().npu_us) << "an emulator without a clock";
}

// ---- the report ----

TEST(bench_report_text, of_a_board) {
    bench_report r = report_of_board();
    take_recording(r, recorded_board());
    const std::string table = bench_table(r), markdown = bench_markdown(r);
    EXPECT_NE(table.find("power:      ina226 VIN (hwmon2/power1_input), the largest of 2 rails; idle 3.00 W"),
              std::string::npos)
        << table;
    EXPECT_NE(table.find("throttled:  no"), std::string::npos) << table;
    EXPECT_EQ(table.find("EMULATED"), std::string::npos);
    EXPECT_EQ(table.find("modelled"), std::string::npos) << "a column that nobody filled";
    EXPECT_NE(
        markdown.find("| test | tokens/s | +/- | W | W over idle | J/token | J/token over idle | NPU load % | DDR "
                      "MHz | max C |\n|---|---:|"),
        std::string::npos)
        << markdown;
    EXPECT_NE(markdown.find("| prefill pp512 | 200.00 | 1.50 | 7.00 | 4.00 | 0.0350 | 0.0200 | 60 | 2112 | 44 |"),
              std::string::npos)
        << markdown;
    EXPECT_NE(markdown.find("- board: Radxa ROCK 5B\n"), std::string::npos);
    const json all = bench_json(r);
    EXPECT_EQ(all.at("kind"), "measured");
    EXPECT_NEAR(all.at("phases")[1].at("joules_per_token").get<double>(), 0.25, 1e-9);
    EXPECT_EQ(all.at("phases")[0].at("machine").at("rails")[1].at("rail"), r.rails[1]);
}

TEST(bench_report_text, of_the_emulator_has_no_speed_of_this_pc) {
    bench_report r = report_of_board();
    r.emulated = true;
    for (bench_phase & p : r.phases)
        p.emulated = virtual_work{45, 8e6, 6946816, 2237.7, 2113.5, 0.00176};
    const std::string table = bench_table(r), markdown = bench_markdown(r);
    for (const std::string & text : {table, markdown}) {
        EXPECT_NE(text.find("EMULATED: no board was used"), std::string::npos);
        EXPECT_NE(text.find("NPU us/token"), std::string::npos);
        EXPECT_EQ(text.find("200.00"), std::string::npos);
        EXPECT_EQ(text.find("tokens/s"), std::string::npos);
    }
    EXPECT_NE(markdown.find("| decode tg128 | 2237.7 | 2113.5 | 0.00176 | 45.0 | 8.00 | 6.625 |"), std::string::npos)
        << markdown;
    const json phase = bench_json(r).at("phases")[0];
    EXPECT_FALSE(phase.contains("tokens_per_second"));
    EXPECT_EQ(phase.at("emulated_npu_us_per_token"), 2237.7);
}

} // namespace
} // namespace rknpu
