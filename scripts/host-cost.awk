# Reads a callgrind profile and prints, tab-separated: owner, instructions, function. Used by scripts/host-cost.sh.
# Invariant: the sum over all lines is the total of the profile.
#
# The owner of a function is the library it is in. What the C, math and C++ libraries do (memcpy, expf, locks, clocks)
# counts for whoever called them: such a function's instructions are divided among its callers in proportion to the
# inclusive cost of their calls, through as many such functions as lie between.

function name_of(kind, text,    id) { # "(12) name" defines, "(12)" refers
    id = substr(text, 2, index(text, ")") - 2)
    if (length(text) > length(id) + 2) name[kind id] = substr(text, length(id) + 4)
    return id
}
function owner_of(path) {
    if (path ~ /libggml-rknpu\.so/) return "plugin"
    if (path ~ /libggml-cpu[^\/]*\.so/) return "operators"
    if (path ~ /libggml(-base)?\.so/) return "ggml-base"
    if (path ~ /librknnrt\.so/) return "emulator"
    if (path ~ /\/(libc|libm|libstdc\+\+|libgcc_s|libgomp|libhwy|ld-linux[^\/]*|libpthread)\.so/) return "support"
    return path == "" || path == "???" ? "support" : "rest"
}
/^ob=/ { object = name_of("ob", substr($0, 4)); next }
/^fn=/ { here = object " " name_of("fn", substr($0, 4)); known[here] = 1; callee_object = ""; next }
/^cob=/ { callee_object = name_of("ob", substr($0, 5)); next }
/^cfn=/ {
    callee = (callee_object == "" ? object : callee_object) " " name_of("fn", substr($0, 5))
    callee_object = ""
    known[callee] = 1
    next
}
/^calls=/ { is_call = 1; next }
/^(fl|fi|fe|cfi|cfl)=/ { next }
/^[0-9+*-]/ && here != "" {
    if (is_call) {
        if (callee != here) edge[here SUBSEP callee] += $NF
    } else
        self[here] += $NF
    is_call = 0
}
END {
    for (f in known) {
        split(f, part, " ")
        owner[f] = owner_of(name["ob" part[1]])
        label[f] = name["fn" part[2]]
        if (owner[f] != "support") share[f, owner[f]] = 1
    }
    n_owners = split("plugin operators ggml-base emulator rest", owners, " ")
    for (e in edge) {
        split(e, ends, SUBSEP)
        if (owner[ends[2]] == "support") {
            incoming[ends[2]] += edge[e]
            caller[e] = ends[1]
            called[e] = ends[2]
        }
    }
    for (round = 0; round < 12; round++) { # chains of support functions are shorter
        for (e in called)
            for (i = 1; i <= n_owners; i++)
                flow[called[e], owners[i]] += edge[e] * share[caller[e], owners[i]]
        for (f in incoming)
            for (i = 1; i <= n_owners; i++) {
                if (incoming[f] > 0) share[f, owners[i]] = flow[f, owners[i]] / incoming[f]
                flow[f, owners[i]] = 0
            }
    }
    for (f in self) {
        left = self[f]
        for (i = 1; i <= n_owners; i++) {
            part_of = self[f] * share[f, owners[i]]
            left -= part_of
            if (part_of > 0) printf "%s\t%.3f\t%s\n", owners[i], part_of, label[f]
        }
        if (left > 0.001) printf "rest\t%.3f\t%s\n", left, label[f] # the start of the program and of threads
    }
}
