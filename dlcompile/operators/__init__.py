"""The operators: importing this package fills the table `dlcompile.graph.OPERATORS`.

Primitives (elementwise, movement, indexing, reductions, contractions, windows, ordering, selection, control, random)
state their type rule, their NumPy evaluation and their cost; composites (activations, normalizations, attention,
recurrent, resampling, resize, quantization, dictionary, differentiation) state a decomposition into them.
"""
from dlcompile.operators import (  # noqa: F401
                                 activations,
                                 attention,
                                 contractions,
                                 control,
                                 dictionary,
                                 differentiation,
                                 elementwise,
                                 indexing,
                                 movement,
                                 normalizations,
                                 ordering,
                                 quantization,
                                 random,
                                 recurrent,
                                 reductions,
                                 resampling,
                                 resize,
                                 sampling,
                                 selection,
                                 signal,
                                 text,
                                 trees,
                                 windows,
)
from dlcompile.operators.interpreter import evaluate, evaluate_node

__all__ = ["evaluate", "evaluate_node"]
