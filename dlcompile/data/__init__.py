"""Where batches come from: arrays, iterators, data sets."""
from dlcompile.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from dlcompile.data.datasets import PyDataset

__all__ = ["PyDataset", "pack_x_y_sample_weight", "unpack_x_y_sample_weight"]
