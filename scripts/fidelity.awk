# The tables of scripts/fidelity.sh from its lines "model case run ppl kld kld99 same_top".
# Invariant: a bound is printed with the figure that it is held against; a figure that is missing counts as "no".

function kld(model, case, run) { return value[model, case, run] }
function times(a, b) { return b > 0 && a != "" ? sprintf("%.2f", a / b) : "?" }
function line(model, what, bound, found) {
    printf "| %s | %s | %s | %s | %s |\n", model, what, bound, found, found != "?" && found + 0 <= bound + 0 ? "yes" : "no"
}
function against(model, what, bound, case, run, cpu) {
    line(model, what, bound, times(kld(model, case, run), kld(model, "free", "CPU " cpu)))
}
function of_file(model, type, what, bound, case, run) {
    line(model, what, bound, times(kld(model, type "-" case, run), kld(model, "free", "CPU " type)))
}

{
    if (!($1 in seen)) models[++n] = $1
    seen[$1] = 1
    value[$1, $2, $3] = $5
}

END {
    print "\n| model | mean KLD as a multiple of the CPU's | at most | found | met |\n|---|---|---|---|---|"
    for (i = 1; i <= n; i++) {
        m = models[i]
        outliers = m ~ /outliers/
        bound = outliers ? 0.3 : 1.0
        against(m, "w8a8, no data, of Q8_0", bound, "free", "NPU w8a8", "Q8_0")
        against(m, "balanced, no data, of Q8_0", bound, "free", "NPU balanced", "Q8_0")
        against(m, "w8a8, calibrated, of Q8_0", bound, "moments", "NPU w8a8", "Q8_0")
        if (!outliers) {
            bound = m ~ /moe/ ? 0.75 : 0.6
            against(m, "w8a16, no data, of Q8_0", bound, "free", "NPU w8a16", "Q8_0")
            against(m, "w8a16, calibrated, of Q8_0", bound, "moments", "NPU w8a16", "Q8_0")
            against(m, "w4a8, no data, of Q4_0", 2.2, "free", "NPU w4a8", "Q4_0")
            against(m, "w4a8, calibrated, of Q4_0", 1.0, "moments", "NPU w4a8", "Q4_0")
            against(m, "w4a4, calibrated, of Q4_0", 4.0, "moments", "NPU w4a4", "Q4_0")
        } else {
            plain = m
            sub(/-outliers/, "", plain)
            line(m, "w4a8, no data, of the plain model's", 1.1, times(kld(m, "free", "NPU w4a8"), kld(plain, "free", "NPU w4a8")))
            line(m, "w4a8, calibrated, of the plain model's", 1.1,
                 times(kld(m, "moments", "NPU w4a8"), kld(plain, "moments", "NPU w4a8")))
        }
        for (t = 1; t <= 2; t++) {
            type = t == 1 ? "Q4_0" : "Q4_K_M"
            of_file(m, type, "w8a8 from " type ", no data, of that file", 1.05, "free", "NPU w8a8")
            of_file(m, type, "w8a8 from " type ", calibrated, of that file", 1.05, "moments", "NPU w8a8")
            of_file(m, type, "w4a8 from " type ", calibrated, of that file", 1.9, "moments", "NPU w4a8")
            of_file(m, type, "speed from " type ", calibrated, of that file", 1.9, "moments", "NPU speed")
        }
    }
    print "\n| model | CPU Q8_0 | CPU Q4_0 | CPU Q4_K_M |\n|---|---|---|---|"
    for (i = 1; i <= n; i++)
        printf "| %s | %s | %s | %s |\n", models[i], kld(models[i], "free", "CPU Q8_0"), kld(models[i], "free", "CPU Q4_0"),
            kld(models[i], "free", "CPU Q4_K_M")
    n_cases = split("free moments imatrix nearest absmax kl unbalanced unrotated plain", cases, " ")
    split("as delivered, no data|moments|imatrix|nearest codes|scales absmax|scales kl|not balanced|not rotated|neither", titles, "|")
    printf "\n| model, format |"
    for (c = 1; c <= n_cases; c++) printf " %s |", titles[c]
    printf "\n|---|"
    for (c = 1; c <= n_cases; c++) printf "---|"
    print ""
    for (i = 1; i <= n; i++) {
        for (f = 1; f <= 2; f++) {
            run = f == 1 ? "w8a8" : "w4a8"
            printf "| %s, %s |", models[i], run
            for (c = 1; c <= n_cases; c++) printf " %s |", kld(models[i], cases[c], "NPU " run)
            print ""
        }
    }
}
