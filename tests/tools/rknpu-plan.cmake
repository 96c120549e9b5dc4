# rknpu plan and rknpu sensitivity on a bundled model: what a user reads, and the line that each mistake gets.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

set(dense ${MODELS}/tiny-gemma3-f16.gguf)
set(moe ${MODELS}/tiny-gemma4-moe-f16.gguf)
set(scratch ${NPU}-plan)
file(MAKE_DIRECTORY ${scratch})

expect(0 "blk.0.attn_q.weight +f16 +512 x 256 +w8a8 +1 x 1 +0 +0.12 .* balanced\n" ${RKNPU} plan ${dense})
expect(0 "modelled for rk3588" ${RKNPU} plan ${dense})
expect(0 "blk.5.ffn_down.weight .* w16a16 .* rule ffn_down=w16a16\n" ${RKNPU} plan ${dense} --format ffn_down=w16a16,speed)
expect(0 "blk.5.ffn_down.weight .* w16a16 .* w16a16 for all\n" GGML_RKNPU_FORMAT=w16a16 ${RKNPU} plan ${dense})
expect(0 "ffn_down_exps.weight +f16 +128 x 256 x 16 +w8a8 +1 x 1 +0 +0.50 " ${RKNPU} plan ${moe})
expect(0 "ffn_gate_inp.weight .* w16a16 .*the router" ${RKNPU} plan ${moe} --format balanced)
expect(0 "\"npu_packed_bytes\": [0-9]+" ${RKNPU} plan ${dense} --json)

# Modelled times of Gemma 4 26B A4B in 4 bits: at most 90 ms a token (94 without merged products) and 1 s for 512, by
# kind of layer. All of the file
# is a hole but its header.
set(big ${scratch}/26b.gguf)
expect(0 "658 tensors" ${GENERATOR} gemma4-26b-a4b ${big} --vocab ${moe} --header-only)
expect(0 "NPU time: +[0-8][0-9][.][0-9]+ ms per decoded token, [0-9]?[0-9]?[0-9][.][0-9] ms for a prompt of 512"
    ${RKNPU} plan ${big} --format speed)
expect(0 "each of the layers: 0-4, 6-10, 12-16, 18-22, 24-28\n  attention .*  experts .*  all 25 of them .*each of the layers: 5, 11, 17, 23, 29\n.*no layer\n  output "
    ${RKNPU} plan ${big} --format speed)
expect(0 "\"layer_kinds\": .*\"parts_of_one\"" ${RKNPU} plan ${big} --format speed --json)
file(REMOVE ${big})

# A budget from measured (here: invented) sensitivities, and its rules as a policy.
file(WRITE ${scratch}/s.json [[{"source": {}, "groups": [
    {"name": "output", "tensors": ["token_embd.weight"], "kld": {"w8a16": 0.001, "w8a8": 0.002}}]}]])
file(WRITE ${scratch}/other.json [[{"source": {}, "groups": [
    {"name": "x", "tensors": ["blk.0.ssm_in.weight"], "kld": {"w8a8": 0.002}}]}]])
expect(0 "token_embd.weight .* w8a16 .* rule" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-mib 6.7 -o ${scratch}/rules.txt)
expect(0 "token_embd.weight .* w8a16 .* rule .token_embd" GGML_RKNPU_FORMAT=@${scratch}/rules.txt ${RKNPU} plan ${dense})
expect(0 "fastest within KLD 0.0005" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-kld 0.0005)
expect(1 "needs at least 6.62 MiB on the NPU .*; raise --budget-mib" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-mib 2)
expect(2 "of another model" ${RKNPU} plan ${moe} --sensitivity ${scratch}/other.json --budget-mib 2)

expect(2 "rknpu plan: model: no file '/nowhere.gguf'" ${RKNPU} plan /nowhere.gguf)
expect(2 "is not a GGUF file" ${RKNPU} plan ${MODELS}/eval.txt)
expect(2 "'w3a7' is neither a format .* nor a preset" ${RKNPU} plan ${dense} --format w3a7)
expect(2 "not a regular expression" ${RKNPU} plan ${dense} --format "ffn_(=w8a8")
expect(1 "chip 'rk3576' is not supported" ${RKNPU} plan ${dense} --chip rk3576)
expect(2 "not both" ${RKNPU} plan ${dense} --sensitivity x --budget-mib 1 --budget-kld 1)
expect(2 "a budget needs measured sensitivities" ${RKNPU} plan ${dense} --budget-mib 1)
expect(2 "'-4' is no budget; give a NUMBER > 0" ${RKNPU} plan ${dense} --sensitivity x --budget-mib -4)
expect(2 "'few' is no budget; give a NUMBER >= 0" ${RKNPU} plan ${dense} --sensitivity x --budget-kld few)
expect(2 "is a folder; give a file" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-mib 6.7 -o ${scratch})
expect(2 "is an input of this call; give another name" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-mib 6.7 -o ${scratch}/s.json)
expect(2 "--sensitivity is for a budget" ${RKNPU} plan ${dense} --sensitivity x)
expect(2 "-o writes the rules of a budget" ${RKNPU} plan ${dense} -o x)
expect(2 "leave --format out" ${RKNPU} plan ${dense} --sensitivity x --budget-mib 1 --format w8a8)
expect(1 "cannot read '/nowhere.json'" ${RKNPU} plan ${dense} --sensitivity /nowhere.json --budget-mib 1)
expect(2 "is not a file of rknpu sensitivity" ${RKNPU} plan ${dense} --sensitivity ${MODELS}/prompt.txt --budget-mib 1)
expect(1 "cannot write '/nowhere/rules.txt" ${RKNPU} plan ${dense} --sensitivity ${scratch}/s.json --budget-mib 7 -o /nowhere/rules.txt)
expect(2 "--budget-mib" ${RKNPU} plan ${dense} --budget-mib -1)

set(measure ${RKNPU} sensitivity ${dense} ${MODELS}/eval.txt)
expect(2 "no file '/nowhere.gguf'" ${RKNPU} sensitivity /nowhere.gguf ${MODELS}/eval.txt -o ${scratch}/x.json)
expect(2 "text: cannot read '/nowhere.txt'" ${RKNPU} sensitivity ${dense} /nowhere.txt -o ${scratch}/x.json)
expect(2 "--formats: format 'w9' is not known" ${measure} -o ${scratch}/x.json --formats w9)
expect(2 "w16a16 is what the others are compared with" ${measure} -o ${scratch}/x.json --formats w16a16)
expect(1 "no NPU: .*does not exist" GGML_RKNPU_RUNTIME=/nowhere/librknnrt.so ${measure} -o ${scratch}/x.json)
if(NOT CROSS) # the arm64 llama.cpp of the tests has no llama-perplexity
    expect(2 "exists and is not of this model, text and options" GGML_RKNPU_RUNTIME=${EMULATOR} ${measure} -o ${scratch}/s.json)
endif()
file(REMOVE_RECURSE ${scratch})
