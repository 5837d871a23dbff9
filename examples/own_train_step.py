"""A training step of one's own: an autoencoder that is trained to remove noise, with a penalty on its code, compiled as any other step.

    python examples/own_train_step.py
"""
import numpy as np
from sklearn.datasets import load_digits

import dlcompile as keras
from dlcompile import layers, ops


class Denoiser(keras.Model):
    """Digits in, digits out, through a code of 16 numbers."""

    def __init__(self, noise=0.3, **kwargs):
        super().__init__(**kwargs)
        self.noise = noise
        self.seed = keras.random.SeedGenerator(7)
        self.encoder = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(16)])
        self.decoder = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(64, activation="sigmoid")])
        self.error, self.size = keras.metrics.Mean(name="error"), keras.metrics.Mean(name="code_size")

    def call(self, x):
        return self.decoder(self.encoder(x))

    def train_step(self, data):
        clean, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        code = self.encoder(clean + self.noise * keras.random.normal(clean.shape, seed=self.seed))
        error = ops.reduce_mean(keras.losses.mean_squared_error(clean, self.decoder(code)))
        size = ops.reduce_mean(ops.square(code))
        self.optimizer.apply(keras.gradients(error + 1e-4 * size, self.trainable_variables), self.trainable_variables)
        self.error.update_state(error)
        self.size.update_state(size)
        return {metric.name: metric.result() for metric in (self.error, self.size)}


keras.utils.set_random_seed(1)
pixels = (load_digits().data / 16).astype("float32")
model = Denoiser()
model.compile(keras.optimizers.Adam(3e-3))
history = model.fit(pixels[:1500], epochs=30, batch_size=50, verbose=0).history
print("error after epochs 1, 10, 30:", *(f"{history['error'][i]:.4f}" for i in (0, 9, 29)))

noisy = pixels[1500:] + 0.3 * np.random.default_rng(0).normal(size=pixels[1500:].shape).astype("float32")
before, after = (float(np.mean((x - pixels[1500:]) ** 2)) for x in (noisy, model.predict(noisy, verbose=0)))
print(f"noise of {before:.3f} becomes an error of {after:.3f}")
