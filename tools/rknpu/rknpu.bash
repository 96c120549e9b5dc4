# Completion of rknpu for bash. Written by `rknpu completion`.
# shellcheck shell=bash
_rknpu() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }
    done
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W 'info doctor settings fidelity calibrate bench pack plan predict sensitivity completion man -h --help --version' -- "$word"); return ;;
    info) words='-h --help --json' ;;
    doctor) words='-h --help --json --fix --emulator --root --llama-bin --plugin' ;;
    settings) words='-h --help --markdown --json' ;;
    fidelity) words='-h --help --reference --formats --format --quantize --chunks --ctx --batch --threads --stats -o --output --llama-bin --plugin --json' ;;
    calibrate) words='-h --help -o --output --ctx --chunks --memory --threads --llama-bin --plugin' ;;
    bench) words='-h --help -p --n-prompt -n --n-gen -r --repetitions --threads --format --cpu --power --idle --interval --json --markdown -o --output --board --root --llama-bin --plugin' ;;
    pack) words='-h --help -o --output --format --stats --llama-bin --plugin' ;;
    plan) words='-h --help --format --chip --json --sensitivity --budget-mib --budget-kld --rows -o --output' ;;
    predict) words='-h --help --board --ctx --format --json --html --peers --validate --demo-table' ;;
    sensitivity) words='-h --help -o --output --formats --thirds --chunks --ctx --batch --threads --chip --llama-bin --plugin' ;;
    completion) words='-h --help' ;;
    man) words='-h --help' ;;
    esac
    if [[ $before == --format ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'quality balanced speed w16a16 w8a16 w8a8 w4a8 w4a4' -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _rknpu rknpu
