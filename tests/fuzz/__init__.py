"""Malformed models: ONNX files mutated, and what the compiler makes of them.

`python -m tests.fuzz` runs it: each attempt takes a model of the corpus, mutates it, and sends it along the whole road, in a process
whose memory and time are limited. Either it compiles, or there is a `dlcompile.Error`; anything else is a finding.

    corpus.py      the models that are mutated
    structure.py   all there is in a model: graphs, nodes, attributes, tensors, types
    values.py      numbers, texts and types at the edges
    mutations/     what is done to a model, in a table
    wire.py        what is done to its bytes
    attempt.py     one attempt
    running.py     many, each in a process that may die of it
    reducing.py    a finding in fewer nodes
"""
