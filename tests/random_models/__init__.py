"""Random ONNX models, made to be compiled and held against the onnx reference evaluator.

    values      arrays with every edge an element type has
    reference   what a node means: the onnx package's evaluator, and the table of what it gets wrong
    tolerance   how errors of allowed size spread through a model, and the comparison that follows from that
    builder     a model grown node by node, each value known as it is made
    entries/    the table of operators: how each is given inputs and attributes
    running     many models in one library: compiled, run, compared, and the guilty found
    __main__    long runs: python -m tests.random_models --help

A model is a function of a `random.Random`, so it is a function of a seed, and of what hypothesis draws.
"""
