"""The onnx package's backend tests, each case compiled, run and compared by that package's own code; results kept and summed up.

    python -m tests.onnx_suite                          everything, in two processes
    python -m tests.onnx_suite -k 'resize|upsample'     cases whose name has a match of a regular expression
    python -m tests.onnx_suite --kind node --every 10   every tenth node case (kinds: node, real, simple, pytorch-converted, pytorch-operator)
    python -m tests.onnx_suite --failed build/onnx_suite/compiled.json     those that failed in an earlier run
    python -m tests.onnx_suite --target x86-64-v3       compiled for another machine
    python -m tests.onnx_suite --mode round-trip        imported, exported, and computed by the onnx reference evaluator
                                                        (round-trip-newest: exported to the newest opset)
    python -m tests.onnx_suite --mode interpreted       imported, optimised, and evaluated by NumPy: everything but the C

`--list-failures` prints every failure in full rather than summed up by reason. `--json` says where the results go
(`build/onnx_suite/MODE.json`), `--record docs/onnx_suite.json` writes what docs/operators.md is made from.
"""
