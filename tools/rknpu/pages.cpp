// rknpu man, rknpu completion: the manual page and bash's completion, from the command line that this program parses.
//
// Invariant: docs/rknpu.1 and tools/rknpu/rknpu.bash are what these print; a test compares them.
#include "commands.h"

#include "plan/policy.h"

#include <cstdio>

namespace rknpu {

namespace {

// Text for troff: a hyphen that may be copied, no escapes, and no line that begins with a request.
std::string troff(const std::string & text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
            out += std::string("\\&") + c;
        else
            out += c;
    }
    return out;
}

std::vector<std::string> names_of(const CLI::Option & option) {
    std::vector<std::string> names;
    for (const auto & name : option.get_snames())
        names.push_back("-" + name);
    for (const auto & name : option.get_lnames())
        names.push_back("--" + name);
    return names;
}

bool takes_value(const CLI::Option & option) {
    return option.get_expected_max() > 0;
}

std::string man_option(const CLI::Option & option) {
    std::string head;
    for (const auto & name : names_of(option))
        head += (head.empty() ? "" : ", ") + name;
    if (!takes_value(option)) return ".TP\n.B " + troff(head) + "\n" + troff(option.get_description()) + "\n";
    std::string tail = option.get_description();
    if (!option.get_default_str().empty()) tail += " (default: " + option.get_default_str() + ")";
    return ".TP\n.BR \"" + troff(head) + "\" \" \" \\fIvalue\\fR\n" + troff(tail) + "\n";
}

std::string man_command(const CLI::App & command) {
    std::string positionals, text;
    for (const CLI::Option * option : command.get_options()) {
        if (option->nonpositional()) continue;
        positionals += " \\fI" + troff(option->get_name(true)) + "\\fR";
        text += ".TP\n.I " + troff(option->get_name(true)) + "\n" + troff(option->get_description()) + "\n";
    }
    for (const CLI::Option * option : command.get_options())
        if (option->nonpositional()) text += man_option(*option);
    return ".SS \"rknpu " + troff(command.get_name()) + positionals + " [options]\"\n" +
           troff(command.get_description()) + ".\n" + text;
}

std::string man_page(const CLI::App & app) {
    std::string page =
        ".\\\" Written by `rknpu man`.\n.TH RKNPU 1 \"\" \"ggml\\-rknpu " RKNPU_VERSION
        "\" \"User Commands\"\n.SH NAME\nrknpu \\- the Rockchip NPU of this machine, as ggml\\-rknpu sees it\n"
        ".SH SYNOPSIS\n.B rknpu\n.I command\n[options]\n.br\n.B rknpu\n\\-\\-version | \\-\\-help\n"
        ".SH DESCRIPTION\nCompanion of the plugin libggml\\-rknpu.so, which lets unmodified llama.cpp multiply "
        "its matrices on the NPU of a Rockchip RK3588.\n.B rknpu doctor\nis the command to begin with.\n"
        ".SH COMMANDS\n";
    for (const CLI::App * command : app.get_subcommands([](const CLI::App *) { return true; }))
        page += man_command(*command);
    page += ".SH EXIT STATUS\n.TP\n.B 0\ndone; of doctor: no fault\n.TP\n.B 1\nit failed, and a line on the standard "
            "error says why; of doctor: a fault; of info: no NPU\n.TP\n.B 2\na wrong call\n.TP\n.B 3\n"
            "of predict: the model does not fit\n.TP\n.B 128 + signal\n"
            "interrupted (130 after Ctrl\\-C); what is finished is kept for the same "
            "command, else nothing\n.SH ENVIRONMENT\n";
    const char * const nothing[] = {nullptr};
    for (const auto & row : list_settings(nothing))
        page += ".TP\n.B " + troff(row.name) + "\n" + troff(row.meaning) +
                (row.default_text.empty() ? "" : " (default: " + troff(row.default_text) + ")") + "\n";
    return page + ".SH SEE ALSO\n.BR llama\\-cli (1),\n.BR llama\\-bench (1)\n";
}

std::string words_of(const CLI::App & app) {
    std::string words;
    for (const CLI::Option * option : app.get_options())
        for (const auto & name : names_of(*option))
            words += (words.empty() ? "" : " ") + name;
    return words;
}

// Options and commands by word; what is no option is a file's name.
std::string completion(const CLI::App & app) {
    std::string commands, cases, formats;
    for (const CLI::App * command : app.get_subcommands([](const CLI::App *) { return true; })) {
        commands += command->get_name() + " ";
        cases += "    " + command->get_name() + ") words='" + words_of(*command) + "' ;;\n";
    }
    for (const preset p : all_presets)
        formats += std::string(preset_name(p)) + " ";
    for (const format f : all_formats)
        formats += std::string(format_name(f)) + " ";
    formats.pop_back();
    return "# Completion of rknpu for bash. Written by `rknpu completion`.\n"
           "# shellcheck shell=bash\n"
           "_rknpu() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        [[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }\n"
           "    done\n"
           "    case $command in\n"
           "    '') mapfile -t COMPREPLY < <(compgen -W '" +
           commands + words_of(app) + "' -- \"$word\"); return ;;\n" + cases +
           "    esac\n"
           "    if [[ $before == --format ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W '" +
           formats +
           "' -- \"$word\")\n"
           "    elif [[ $word == -* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
           "    else\n"
           "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
           "    fi\n"
           "}\n"
           "complete -o filenames -F _rknpu rknpu\n";
}

} // namespace

void add_pages(CLI::App & app) {
    app.add_subcommand("completion", "the completion script for bash: source <(rknpu completion)")->callback([&app] {
        std::fputs(completion(app).c_str(), stdout);
    });
    app.add_subcommand("man", "the manual page: rknpu man | man -l -")->callback([&app] {
        std::fputs(man_page(app).c_str(), stdout);
    });
}

} // namespace rknpu
