"""Random numbers for models: drawn from a seed, a `SeedGenerator`, or the generator that all share.

Within a traced function a generator's counter is a variable like any other: a step that draws from it is a function of its state, and the same
state gives the same numbers on every machine, compiled or interpreted.
"""
from dlcompile.random.draws import categorical, dropout, normal, randint, shuffle, truncated_normal, uniform
from dlcompile.random.seed import SeedGenerator, draw_key, global_seed_generator, make_default_seed, set_random_seed

__all__ = ["SeedGenerator", "categorical", "draw_key", "dropout", "global_seed_generator", "make_default_seed", "normal", "randint",
           "set_random_seed", "shuffle", "truncated_normal", "uniform"]
