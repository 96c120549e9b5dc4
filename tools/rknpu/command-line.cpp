// See command-line.h.
#include "command-line.h"

#include "base/near-name.h"
#include "child.h"
#include "commands.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <unistd.h>

namespace rknpu {

namespace {

std::vector<std::string> subcommands_of(const CLI::App & app) {
    std::vector<std::string> names;
    for (const CLI::App * command : app.get_subcommands([](const CLI::App *) { return true; }))
        names.push_back(command->get_name());
    return names;
}

// CLI11 knows of a word that is no subcommand only that there is none.
std::string no_subcommand(const CLI::App & app) {
    const std::vector<std::string> names = subcommands_of(app), words = app.remaining();
    std::string known;
    for (const std::string & name : names)
        known += (known.empty() ? "" : ", ") + name;
    if (words.empty()) return "a subcommand is required: one of " + known + "; see rknpu --help";
    if (words[0][0] == '-') return "the option " + words[0] + " is not known here; see rknpu --help";
    const std::string near = near_name(names, words[0], 3);
    return "there is no subcommand '" + words[0] + "'" + (near.empty() ? "" : " (did you mean " + near + "?)") +
           "; use one of " + known;
}

// CLI11's own words, but for those about its types.
std::string words_of(const CLI::ParseError & e) {
    const std::string said = e.what();
    const size_t colon = said.find(": ");
    if (e.get_name() == "ArgumentMismatch" && colon != std::string::npos &&
        said.find(" required ") != std::string::npos)
        return said.substr(0, colon) + " needs a value";
    return said;
}

int wrong_call(const CLI::App & app, const CLI::ParseError & e) {
    const auto chosen = app.get_subcommands();
    if (chosen.empty()) return exit_code_of("", status(errc::invalid_argument, no_subcommand(app)));
    const std::string & name = chosen[0]->get_name();
    return exit_code_of(name, status(errc::invalid_argument, words_of(e) + "; see rknpu " + name + " --help"));
}

// The same exit code, or that of a failure where stdout did not take everything that was printed.
int check_printed(const std::string & command, int exit_code) {
    errno = 0;
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return exit_code;
    if (errno == EPIPE) return exit_code; // who reads no further has what he wanted
    // Of an earlier part that was not taken only the fact is known.
    return exit_code_of(command, status(errc::permission, std::string("cannot write the output: ") +
                                                              (errno ? std::strerror(errno) : "a part is missing") +
                                                              "; free some space there, or send it elsewhere"));
}

} // namespace

int exit_code_of(const std::string & command, const status & done) {
    if (done.ok()) return 0;
    if (interrupted() && done.message().empty()) return 128 + interrupted();
    std::string line = (command.empty() ? "rknpu: " : "rknpu " + command + ": ") + done.message();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::fprintf(stderr, "%s\n", line.c_str());
    return done.code() == errc::invalid_argument ? 2 : 1;
}

int run_command_line(CLI::App & app, int argc, const char * const * argv, const int & exit_code) {
    // Handed over in one piece, if it is not longer, so that the reason of a refusal is still known at the end.
    static char output[1 << 20];
    if (!isatty(STDOUT_FILENO)) std::setvbuf(stdout, output, _IOFBF, sizeof(output));
    int code = 0;
    try {
        app.parse(argc, argv);
        code = exit_code;
    } catch (const CLI::Success & help_or_version) {
        std::ostringstream text;
        app.exit(help_or_version, text);
        std::fputs(text.str().c_str(), stdout);
    } catch (const CLI::ParseError & e) {
        code = wrong_call(app, e);
    }
    const auto chosen = app.get_subcommands();
    return check_printed(chosen.empty() ? "" : chosen[0]->get_name(), code);
}

} // namespace rknpu
